"""A world of small chunks, played by one agent without a server: what a journey sees of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chunkcrawl.errors import Blocked, Unreachable
from chunkcrawl.view.paths import is_boundary
from chunkcrawl.view.world_map import OPPOSITE, WorldMap
from chunkcrawl.view.world_view import GoldNode, WorldView
from chunkcrawl.wire.messages import ChunkDelta, ChunkStatic, ChunkTransition
from chunkcrawl.wire.protocol import Completed
from tests.sdk.builders import delta, event, static

#: 7 x 7 with a door of one cell in the middle of each side.
OPEN = ["###.###", "#.....#", "#.....#", ".......", "#.....#", "#.....#", "###.###"]
DEAD_END = ["###.###", "#.....#", "#.....#", "#.....#", "#.....#", "#.....#", "#######"]
ENTRY = {"N": (3, 0), "S": (3, 6), "E": (0, 3), "W": (6, 3)}


@dataclass
class SmallChunk:
    neighbors: dict[str, str | None]
    tiles: list[str] = field(default_factory=lambda: list(OPEN))
    gold: dict[str, int] = field(default_factory=dict)  # all at (1, 0), a wall beside (1, 1)
    others: dict[str, tuple[int, int]] = field(default_factory=dict)


class SmallWorld:
    """Is an agent to a ``Journey``.  Chunks that are not there yet are made by ``make`` when they are entered.

    ``before``: called before each command with the number of commands so far; it may change the world.
    """

    def __init__(self, **chunks: SmallChunk) -> None:
        self.chunks = chunks
        self.view, self.map = WorldView("me"), WorldMap()
        self.here, self.cell = next(iter(chunks)), (3, 3)
        self.gold = self.tick = 0
        self.commands: list[tuple[Any, ...]] = []
        self.before: Callable[[int], None] = lambda number: None
        self.make: Callable[[int], SmallChunk] = lambda number: SmallChunk({})
        self.changed = asyncio.Event()
        self._enter()

    def _feed(self, one: Any) -> None:
        self.view.feed(one)
        if isinstance(one, ChunkStatic | ChunkDelta):
            self.map.note(self.view, self.tick)
        self.changed.set()

    def _enter(self) -> None:
        chunk = self.chunks[self.here]
        nodes = [{"node_id": name, "type": "gold", "x": 1, "y": 0, "max_remaining": 5} for name in chunk.gold]
        sides: dict[str, str | None] = {"N": None, "E": None, "S": None, "W": None}
        neighbors = sides | chunk.neighbors
        self._feed(event("chunk_static", **static(self.here, chunk.tiles, neighbors=neighbors, resource_nodes=nodes)))
        self.show()

    def show(self) -> None:
        """Send a delta."""
        self.tick += 1
        chunk = self.chunks[self.here]
        seats = [("me", *self.cell), *((name, *cell) for name, cell in chunk.others.items())]
        state = [{"node_id": name, "remaining": left} for name, left in chunk.gold.items()]
        self._feed(event("chunk_delta", **delta(self.tick, *seats, chunk_id=self.here, resources=state)))

    async def move_to(self, x: int, y: int) -> Completed:
        await self._command("move_to", x, y)
        if (x, y) in self.chunks[self.here].others.values():
            self.show()
            raise Unreachable
        way = self.view.path_to(x, y)
        if way is None:
            self.show()
            raise Unreachable
        for cell in way:
            if cell in self.chunks[self.here].others.values():
                self.show()
                raise Blocked(self.tick, cell)
            if is_boundary(self.view.grid, *cell):
                self._cross(next(side for side, cells in self.view.exits().items() if cell in cells))
                break
            self.cell = cell
        self.show()
        return Completed("c", None, self.tick)

    def _cross(self, side: Any) -> None:
        source, chunk = self.here, self.chunks[self.here]
        target = chunk.neighbors.get(side)
        if target is None:
            target = f"new-{len(self.chunks)}"
            self.chunks[target] = self.make(len(self.chunks))
            self.chunks[target].neighbors[OPPOSITE[side]] = source
            chunk.neighbors[side] = target
        self.here, self.cell = target, ENTRY[side]
        x, y = self.cell
        fields: dict[str, Any] = {"agent_id": "me", "from_chunk_id": source, "to_chunk_id": target, "tick": self.tick}
        moved = event("chunk_transition", **fields | {"from": {"x": 0, "y": 0}, "to": {"x": x, "y": y}})
        assert isinstance(moved, ChunkTransition)
        self._feed(moved)
        self._enter()

    async def harvest(self, node: str | GoldNode) -> Completed:
        name = node if isinstance(node, str) else node.node_id
        await self._command("harvest", name)
        chunk = self.chunks[self.here]
        while chunk.gold[name] > 0:
            await asyncio.sleep(0)
            chunk.gold[name] -= 1
            self.gold += 1
            own: dict[str, Any] = {"agent_id": "me", "inventory": {"gold": self.gold}}
            self._feed(event("agent_private_delta", **own))
            self.show()
        return Completed("c", None, self.tick)

    async def wait_until(self, condition: Callable[[WorldView], bool], timeout_s: float | None = None) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition(self.view):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            pass
        return condition(self.view)

    async def _command(self, *words: Any) -> None:
        self.before(len(self.commands))
        self.commands.append(words)
        await asyncio.sleep(0)
