"""A map that lasts: every chunk an agent has been in, its doors, its gold, and when it was seen.

Pure but for ``save`` and ``load``: ``note`` takes a view after each event, with the server's time, and nothing else
changes it.  Chunks that were collected are known as gone, since their ids are never given out again.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import msgspec

from chunkcrawl.view.paths import exit_cells
from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire.messages import Direction

__all__ = ["OPPOSITE", "KnownChunk", "KnownNode", "MapUnreadable", "WorldMap", "write_whole"]

OPPOSITE: Final[dict[Direction, Direction]] = {"N": "S", "S": "N", "E": "W", "W": "E"}

#: Of the file.  Another number is no map that this version can read.
VERSION: Final = 1
#: Beyond, the chunks that were seen longest ago are forgotten; some 3 kB each in the file.
CHUNKS_MAX: Final = 5_000
FILE_MAX_BYTES: Final = 64 * 1024 * 1024
ADVICE: Final = "move it away to begin a new one"


class MapUnreadable(ValueError):
    """A file is no map, or one of another version; the text names it and says what to do."""


class KnownNode(msgspec.Struct):
    """A resource node as it was last seen."""

    node_id: str
    x: int
    y: int
    max_remaining: int
    remaining: int


class KnownChunk(msgspec.Struct):
    """A chunk as it was last seen.

    Attributes:
        chunk_id: Its id.
        tiles: Rows of ``#`` (wall) and ``.`` (floor), row 0 the south edge; empty while it was never entered.
        neighbors: Ids by side; a side that is missing or None leads into the unknown, if ``exits`` has it.
        nodes: Its gold by id.
        seen_ms: When, by the server's clock, in milliseconds since 1970; 0: never entered.
        tick: The world's tick then.
        gone: It was collected: nobody gets there any more.
    """

    chunk_id: str
    tiles: list[str] = []
    neighbors: dict[str, str | None] = {}
    nodes: dict[str, KnownNode] = {}
    seen_ms: int = 0
    tick: int = -1
    gone: bool = False

    @property
    def entered(self) -> bool:
        """Whether its terrain is known."""
        return bool(self.tiles)

    @property
    def grid(self) -> list[list[int]]:
        """The terrain, ``grid[y][x]``: 0 floor, 1 wall."""
        return [[int(tile == "#") for tile in row] for row in self.tiles]

    @property
    def exits(self) -> list[Direction]:
        """The sides on which one can leave it."""
        return list(exit_cells(self.grid)) if self.tiles else []

    @property
    def gold(self) -> int:
        """How much gold was left in it."""
        return sum(node.remaining for node in self.nodes.values())


class _MapFile(msgspec.Struct):
    version: int
    chunks: list[KnownChunk]


class WorldMap:
    """What is known of the world.

    Attributes:
        chunks: By id, those seen longest ago first; those that are gone included.
    """

    def __init__(self, *, chunks_max: int = CHUNKS_MAX) -> None:
        self.chunks: dict[str, KnownChunk] = {}
        self._chunks_max = chunks_max
        self._inside: str | None = None

    # -- filling it --

    def note(self, view: WorldView, now_ms: int) -> None:
        """Take in what a view shows of its present chunk.

        Args:
            view: After an event was fed to it.
            now_ms: The server's time of that event.
        """
        chunk_id = view.chunk_id
        if chunk_id is None or not view.grid:
            return
        chunk = self._known(chunk_id)
        if not chunk.entered or self._inside != chunk_id:
            tiles = ["".join("#" if wall else "." for wall in row) for row in view.grid]
            if chunk.entered and chunk.tiles != tiles:
                # Ids are never given out again within a world, so this is another world: nothing else holds there.
                self.chunks.clear()
                chunk = self._known(chunk_id)
            chunk.tiles, chunk.gone = tiles, False
            self._inside = chunk_id
            self.chunks[chunk_id] = self.chunks.pop(chunk_id)  # seen last
            self._cut()
        for side, neighbor in view.neighbors.items():
            self._link(chunk, cast(Direction, side), neighbor)
        for gone in view.lost_neighbors.values():
            self.mark_gone(gone)
        if view.ready:
            chunk.seen_ms, chunk.tick = now_ms, view.tick
            chunk.nodes = {
                node.node_id: KnownNode(node.node_id, node.x, node.y, node.max_remaining, node.remaining)
                for node in view.gold.values()
            }

    def mark_gone(self, chunk_id: str) -> None:
        """Note that a chunk was collected: every door to it leads into the unknown."""
        gone = self.chunks.get(chunk_id)
        if gone is None or gone.gone:
            return
        gone.gone, gone.nodes = True, {}
        for side, neighbor in gone.neighbors.items():
            there = self.chunks.get(neighbor or "")
            back = OPPOSITE[cast(Direction, side)]
            if there is not None and there.neighbors.get(back) == chunk_id:
                there.neighbors[back] = None

    def _known(self, chunk_id: str) -> KnownChunk:
        return self.chunks.setdefault(chunk_id, KnownChunk(chunk_id))

    def _link(self, chunk: KnownChunk, side: Direction, neighbor: str | None) -> None:
        before = chunk.neighbors.get(side)
        if before == neighbor:
            return
        chunk.neighbors[side] = neighbor
        if before is not None:
            self.mark_gone(before)
        if neighbor is not None:
            self._known(neighbor).neighbors[OPPOSITE[side]] = chunk.chunk_id

    def _cut(self) -> None:
        for chunk_id in list(self.chunks)[: max(0, len(self.chunks) - self._chunks_max)]:
            del self.chunks[chunk_id]

    # -- asking it --

    def route(self, start: str, goal: str) -> list[Direction] | None:
        """Return the sides by which one leaves chunk after chunk to get from ``start`` to ``goal``, the fewest doors.

        Returns:
            Empty when they are the same; None when no way is known.
        """
        return next((way for chunk, way in self.ways(start) if chunk.chunk_id == goal), None)

    def unknown_doors(self, start: str) -> Iterator[tuple[list[Direction], Direction]]:
        """Yield doors that nobody was seen to pass, those behind the fewest doors first.

        Yields:
            The way to the chunk that has it, and its side; behind it is a chunk that was never entered, or a new one.
        """
        for chunk, way in self.ways(start):
            for side in chunk.exits:
                neighbor = self.chunks.get(chunk.neighbors.get(side) or "")
                if neighbor is None or not neighbor.entered:
                    yield way, side

    def gold_chunks(self, start: str) -> Iterator[tuple[list[Direction], KnownChunk]]:
        """Yield the chunks in which gold was left, those behind the fewest doors first, with the way there."""
        return ((way, chunk) for chunk, way in self.ways(start) if chunk.gold > 0)

    def ways(self, start: str) -> Iterator[tuple[KnownChunk, list[Direction]]]:
        """Yield the chunks that can be reached, those behind the fewest doors first, with the way there."""
        first = self.chunks.get(start)
        if first is None:
            return
        found = {start}
        queue: deque[tuple[KnownChunk, list[Direction]]] = deque([(first, [])])
        while queue:
            chunk, way = queue.popleft()
            yield chunk, way
            for side in chunk.exits:
                there = self.chunks.get(chunk.neighbors.get(side) or "")
                if there is not None and not there.gone and there.chunk_id not in found:
                    found.add(there.chunk_id)
                    queue.append((there, [*way, side]))

    # -- keeping it --

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, all or nothing.  Raises ``OSError``."""
        write_whole(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what ``save`` writes."""
        return msgspec.json.encode(_MapFile(VERSION, list(self.chunks.values())))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, chunks_max: int = CHUNKS_MAX) -> WorldMap:
        """Return the map in a file; an empty one where there is no file.

        Raises:
            MapUnreadable: It is no map, or of another version.
            OSError: It can't be read.
        """
        found = cls(chunks_max=chunks_max)
        try:
            with open(path, "rb") as file:
                content = file.read(FILE_MAX_BYTES + 1)
        except FileNotFoundError:
            return found
        if len(content) > FILE_MAX_BYTES:
            raise MapUnreadable(f"{os.fspath(path)} is larger than any map: {ADVICE}")
        return cls.from_bytes(content, name=os.fspath(path), chunks_max=chunks_max)

    @classmethod
    def from_bytes(cls, content: bytes, *, name: str = "it", chunks_max: int = CHUNKS_MAX) -> WorldMap:
        """Return the map that ``to_bytes`` wrote; ``name`` is what an error calls it.  Raises ``MapUnreadable``."""
        found = cls(chunks_max=chunks_max)
        try:
            read = msgspec.json.decode(content, type=_MapFile)
        except ValueError as error:
            raise MapUnreadable(f"{name} is no map ({error}): {ADVICE}") from None
        if read.version != VERSION:
            raise MapUnreadable(f"{name} is a map of version {read.version}, not {VERSION}: {ADVICE}")
        found.chunks = {chunk.chunk_id: chunk for chunk in read.chunks if set(chunk.neighbors) <= set(OPPOSITE)}
        found._cut()
        return found


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, all or nothing.  Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
