"""Where new agents enter: chunk-0 until it is full, then outward, making chunks when all are full."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from redis.asyncio import Redis

from cluster import graph
from cluster.graph import ChunkCollected
from streaming import keys
from streaming.connect import as_text
from streaming.frozen import read_frozen
from world.ids import ChunkId, Direction
from world.rules import Rules
from world.spawn import spawn_order
from world.terrain import make_terrain

FRESH_S: Final = 0.5


class SpawnPlan:
    """The graph and its population, looked up at most twice a second; a shard's word ``full`` counts at once."""

    def __init__(self, redis: Redis, capacity: int) -> None:
        self._redis = redis
        self._capacity = capacity
        self._order: list[ChunkId] = []
        self._population: dict[str, int] = {}
        self._links: dict[ChunkId, dict[Direction, ChunkId]] = {}
        self._read_at = float("-inf")

    def forget(self) -> None:
        """Look again before the next choice."""
        self._read_at = float("-inf")

    def is_full(self, chunk_id: str) -> None:
        """Note that a shard has refused one more in a chunk."""
        self._population[chunk_id] = self._capacity

    async def choose(self, full: Collection[str]) -> ChunkId | None:
        """Return the first chunk with room, outward from chunk-0, else a new one; None when none can be made."""
        await self._refresh()
        for chunk_id in self._order:
            if chunk_id not in full and self._population.get(chunk_id, 0) < self._capacity:
                self._population[chunk_id] = self._population.get(chunk_id, 0) + 1
                return chunk_id
        return await self._grow()

    async def _refresh(self) -> None:
        if time.monotonic() - self._read_at < FRESH_S:
            return
        self._links = await graph.read_links(self._redis)
        self._order = spawn_order(self._links)
        found = await self._redis.hgetall(keys.POPULATION)
        self._population = {as_text(name): int(count) for name, count in found.items()}
        self._population |= dict.fromkeys((await read_frozen(self._redis)).chunks, self._capacity)  # nobody comes in
        self._read_at = time.monotonic()

    async def _grow(self) -> ChunkId | None:
        info = await graph.read_world(self._redis)
        if info is None:
            return None
        for chunk_id in self._order:
            for direction in await self._exits(chunk_id, info.seed):
                if direction not in self._links.get(chunk_id, {}):
                    try:
                        made = await graph.ensure_neighbor(self._redis, chunk_id, direction)
                    except ChunkCollected:
                        continue
                    self.forget()
                    return made
        return None

    async def _exits(self, chunk_id: ChunkId, seed: int) -> list[Direction]:
        number, entry = await self._redis.hmget(keys.chunk(chunk_id), ["number", "entry"])
        if number is None:
            return []
        # Terrain keeps them in the order of DIRECTIONS; the rules decide about its gold alone.
        return list(make_terrain(seed, int(number), graph.entry_side(entry), Rules()).exits)
