"""Moving chunks to where the hash wants them: what can't be moved now is left for the next pass."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from cluster import graph
from cluster.peers import ShardUnavailable
from cluster.rebalance import Rebalancer
from streaming import keys
from world.ids import ChunkId, shard_of

SHARDS = 3


class Shards:
    """Shards that note what they are asked to give, and give it in the chunk's hash."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.given: list[tuple[int, str, int]] = []
        self.away: set[int] = set()
        self.pause_s: float | None = 0.25
        self._number = 0

    def shard(self, number: int, *, timeout_s: float) -> Any:
        assert timeout_s > 0
        self._number = number
        return self

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        if self._number in self.away:
            raise ShardUnavailable("away")
        self.given.append((self._number, chunk_id, to_shard))
        await self.redis.hset(keys.chunk(chunk_id), "shard", str(to_shard))
        return self.pause_s


@pytest.fixture
async def misplaced(redis: Redis) -> dict[ChunkId, int]:
    """Chunks that shard 0 owns though the hash names another, and that one."""
    await graph.init_world(redis, seed=1, shard_count=SHARDS)
    names = [ChunkId(f"chunk-{n}") for n in range(12)]
    for name in names:
        await redis.sadd(keys.CHUNKS, name)
        await redis.hset(keys.chunk(name), "shard", "0")
    return {name: shard_of(name, SHARDS) for name in names if shard_of(name, SHARDS)}


async def test_each_goes_where_the_hash_names_and_the_next_pass_has_nothing_to_do(
    redis: Redis, misplaced: dict[ChunkId, int]
) -> None:
    shards = Shards(redis)
    rebalancer = Rebalancer(redis, shards)
    await rebalancer.run()
    assert sorted(shards.given) == sorted((0, name, to_shard) for name, to_shard in misplaced.items())
    described = rebalancer.progress.describe()
    assert described == {"to_move": 0, "moved": len(misplaced), "refused": 0, "longest_pause_ms": 250.0}
    await rebalancer.run()
    assert len(shards.given) == len(misplaced)


async def test_a_shard_that_is_away_keeps_its_chunks_until_the_next_pass(
    redis: Redis, misplaced: dict[ChunkId, int]
) -> None:
    shards = Shards(redis)
    shards.away = {0}
    rebalancer = Rebalancer(redis, shards)
    await rebalancer.run()
    assert (rebalancer.progress.to_move, rebalancer.progress.refused) == (len(misplaced), len(misplaced))
    assert set(await rebalancer.misplaced()) == set(misplaced)
    shards.away = set()
    await rebalancer.run()
    assert await rebalancer.misplaced() == {}


async def test_without_a_world_there_is_nothing_to_move(redis: Redis) -> None:
    assert await Rebalancer(redis, Shards(redis)).misplaced() == {}
