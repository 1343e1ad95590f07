"""Chunks of a key frame that are made only when something asks for them.

Of the thousands of chunks that a shard may hold most rest: nobody is in them, nothing grows there.  To look at one
chunk's past they need not be made, and to make one costs more than a tick of the whole shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from world.chunk import Chunk
from world.ids import ChunkId

Frozen = Mapping[str, Any]


class ChunksMadeOnUse(dict[ChunkId, Chunk]):
    """A shard's chunks by id, in their order; some are frozen until they are asked for.

    Args:
        make: Makes a chunk of what ``freeze_chunk`` gave.
    """

    def __init__(self, make: Callable[[Frozen], Chunk]) -> None:
        super().__init__()
        self._make = make
        self._frozen: dict[ChunkId, Frozen] = {}

    def rest(self, frozen: Frozen) -> None:
        """Take in a chunk that is not made yet."""
        chunk_id = ChunkId(frozen["record"]["chunk_id"])
        self._frozen[chunk_id] = frozen
        super().__setitem__(chunk_id, None)  # type: ignore[assignment]  # its place; never read

    def __getitem__(self, chunk_id: ChunkId) -> Chunk:
        frozen = self._frozen.pop(chunk_id, None)
        if frozen is not None:
            super().__setitem__(chunk_id, self._make(frozen))
        return super().__getitem__(chunk_id)

    def __setitem__(self, chunk_id: ChunkId, chunk: Chunk) -> None:
        self._frozen.pop(chunk_id, None)
        super().__setitem__(chunk_id, chunk)

    def __delitem__(self, chunk_id: ChunkId) -> None:
        self._frozen.pop(chunk_id, None)
        super().__delitem__(chunk_id)

    def get(self, chunk_id: ChunkId, default: Any = None) -> Any:
        """Return a chunk, made now if it was not, or ``default``."""
        return self[chunk_id] if chunk_id in self else default  # noqa: SIM401 - it would call itself

    def values(self) -> Any:
        """Return all chunks; those that are not made yet are made."""
        self._make_all()
        return super().values()

    def items(self) -> Any:
        """Return all chunks with their ids; those that are not made yet are made."""
        self._make_all()
        return super().items()

    def _make_all(self) -> None:
        for chunk_id in list(self._frozen):
            self[chunk_id]


def rests(frozen: Frozen, awake: Iterable[str]) -> bool:
    """Return whether nothing happens in a chunk by itself; ``awake``: ids of those in which something does."""
    busy = ("agents", "crossings", "reserved", "harvesters", "wanted")
    if frozen["record"]["chunk_id"] in awake or any(frozen[name] for name in busy):
        return False
    return not any(node["regen_at"] is not None for node in frozen["record"]["nodes"])
