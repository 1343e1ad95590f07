"""All chunks on a grid, by the links between them: made when somebody asks, and given again for some seconds."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from api.accounts.auth import RedisCalls
from streaming.lua import load

LINKS: Final = load("api/operator/chunk_links.lua")
CHUNKS_AT_ONCE: Final = 1_000
FRESH_S: Final = 10.0
FIRST_CHUNK: Final = "chunk-0"
#: Steps to the neighbours, in the order in which the script gives them.
STEPS: Final = ((0, 1), (1, 0), (0, -1), (-1, 0))

Links = Mapping[str, tuple[str, str, str, str]]


@dataclass(slots=True)
class ChunkMap:
    """Where each chunk is; chunks that no link leads to stand in a row below the others."""

    redis: RedisCalls
    clock: Callable[[], float] = time.monotonic
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)
    _fresh_until: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def places(self) -> dict[str, tuple[int, int]]:
        """Return all places, up to ``FRESH_S`` old.  Raises ``RedisError``."""
        async with self._reading:
            if self.clock() >= self._fresh_until:
                links = await self._links()
                self._places = await asyncio.to_thread(placed, links)
                self._fresh_until = self.clock() + FRESH_S
            return self._places

    async def _links(self) -> dict[str, tuple[str, str, str, str]]:
        found: dict[str, tuple[str, str, str, str]] = {}
        cursor: Any = 0
        while True:
            cursor, rows = await self.redis.run(LINKS(cursor=cursor, count=CHUNKS_AT_ONCE))
            for id_, north, east, south, west in rows:
                found[id_.decode()] = (north.decode(), east.decode(), south.decode(), west.decode())
            if int(cursor) == 0:
                return found


def placed(links: Links) -> dict[str, tuple[int, int]]:
    """Return a place for each chunk: chunk-0 at the origin, the others where the links lead, nearest first."""
    places: dict[str, tuple[int, int]] = {}
    if FIRST_CHUNK in links:
        places[FIRST_CHUNK] = (0, 0)
    waiting = deque(places)
    while waiting:
        chunk_id = waiting.popleft()
        x, y = places[chunk_id]
        for neighbor, (dx, dy) in zip(links[chunk_id], STEPS, strict=True):
            if neighbor in links and neighbor not in places:
                places[neighbor] = (x + dx, y + dy)
                waiting.append(neighbor)
    lost = sorted(links.keys() - places.keys(), key=lambda name: (len(name), name))
    below = min((y for _, y in places.values()), default=0) - 2
    return places | {chunk_id: (number, below) for number, chunk_id in enumerate(lost)}
