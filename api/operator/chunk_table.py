"""All chunks of the world as columns: owner, population, cost, watchers; cheap to bring up to date with 10,000 of them.

Populations and costs are two reads.  Owners cost a look at each chunk, so they are read again only now and then, or
when something has moved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from api.accounts.auth import RedisCalls
from api.operator.cluster_state import Status, watchers_in
from streaming import keys
from streaming.lua import load

OWNERS: Final = load("api/operator/chunk_owners.lua")
OWNERS_AT_ONCE: Final = 1_000
#: How old owners may be while nothing is known to have moved.
OWNERS_S: Final = 10.0
#: How old the table may be when it is asked for again.
FRESH_S: Final = 1.0

#: Shard, agents, cost in microseconds a second, commands a second, watchers.
Cells = tuple[int, int, int, float, int]
NO_LOAD: Final = (0, 0.0)


@dataclass(frozen=True, slots=True)
class ChunkChanges:
    """What has changed between two looks."""

    changed: dict[str, Cells]
    gone: list[str]


@dataclass(slots=True)
class ChunkTable:
    """The table; ``refresh`` before it is looked at."""

    redis: RedisCalls
    clock: Callable[[], float] = time.monotonic
    cells: dict[str, Cells] = field(default_factory=dict)
    _owners: dict[str, int] = field(default_factory=dict)
    #: Chunks that there were when owners were read, also those that nobody owns any more.
    _known: set[str] = field(default_factory=set)
    _owners_at: float = float("-inf")
    _moved: object = None
    _read_at: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def refresh(self, status: Status, *, older_than_s: float = FRESH_S) -> None:
        """Bring the table up to date unless it is younger than that.  Raises ``RedisError``."""
        async with self._reading:
            if self.clock() - self._read_at < older_than_s:
                return
            populations = await self._populations()
            await self._look_at_owners(status, populations)
            loads = await self._loads()
            watchers = watchers_in(status)
            owners = self._owners
            self.cells = {
                chunk_id: (owners[chunk_id], agents, *loads.get(chunk_id, NO_LOAD), watchers.get(chunk_id, 0))
                for chunk_id, agents in populations.items()
                if chunk_id in owners
            }
            self._read_at = self.clock()

    def changes_since(self, before: Mapping[str, Cells]) -> ChunkChanges:
        """Return what differs from the cells of an earlier look."""
        changed = {chunk_id: cells for chunk_id, cells in self.cells.items() if before.get(chunk_id) != cells}
        return ChunkChanges(changed, sorted(before.keys() - self.cells.keys()))

    async def _populations(self) -> dict[str, int]:
        found = await self.redis.command("HGETALL", keys.POPULATION)
        pairs = found.items() if isinstance(found, Mapping) else zip(found[::2], found[1::2], strict=True)
        return {chunk_id.decode(): int(count) for chunk_id, count in pairs}

    async def _look_at_owners(self, status: Status, populations: Mapping[str, int]) -> None:
        moved = (status["moving"]["moved"], status["shards"])
        young = self.clock() - self._owners_at < OWNERS_S
        if young and moved == self._moved and populations.keys() <= self._known:
            return
        found: dict[str, int] = {}
        cursor: Any = 0
        while True:
            cursor, rows = await self.redis.run(OWNERS(cursor=cursor, count=OWNERS_AT_ONCE))
            found.update((id_.decode(), int(shard)) for id_, shard in _pairs(rows) if shard)
            if int(cursor) == 0:
                break
        self._owners, self._owners_at, self._moved = found, self.clock(), moved
        self._known = populations.keys() | found.keys()

    async def _loads(self) -> dict[str, tuple[int, float]]:
        found = await self.redis.command("GET", keys.LOADS)
        return {row[0]: (row[1], row[2]) for row in orjson.loads(found)} if found else {}


def columns(cells: Mapping[str, Cells]) -> dict[str, Any]:
    """Return cells as columns, in which entries of the same place belong together."""
    shard, agents, cost, commands, watchers = zip(*cells.values(), strict=True) if cells else ((), (), (), (), ())
    return {
        "ids": list(cells),
        "shard": shard,
        "agents": agents,
        "cost_us": cost,
        "commands_per_s": commands,
        "watchers": watchers,
    }


def chunk_row(chunk_id: str, cells: Cells, marks: Mapping[str, Any]) -> dict[str, Any]:
    """Return one chunk as a row; ``marks`` as ``api.operator.figures.marks`` gives them."""
    shard, agents, cost_us, commands_per_s, watchers = cells
    return {
        "chunk_id": chunk_id,
        "shard": shard,
        "agents": agents,
        "cost_us": cost_us,
        "commands_per_s": commands_per_s,
        "watchers": watchers,
        "pinned": chunk_id in marks["pinned"],
        "frozen": marks["world_frozen"] or chunk_id in marks["frozen"],
        "moving": chunk_id in marks["moving"],
    }


def _pairs(rows: list[Any]) -> Iterable[tuple[bytes, bytes]]:
    return zip(rows[::2], rows[1::2], strict=True)
