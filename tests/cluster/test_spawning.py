"""Where somebody new is put: the first chunk with room, outward from chunk-0, else a chunk that is made for it."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from cluster import graph, spawning
from cluster.spawning import SpawnPlan
from streaming import keys
from world.ids import ChunkId
from world.rules import Rules


@pytest.fixture
async def world(redis: Redis) -> Redis:
    await graph.init_world(redis, seed=1, shard_count=1, rules=Rules().of_world)
    return redis


async def test_the_first_chunk_until_it_is_full_then_a_new_one(world: Redis) -> None:
    plan = SpawnPlan(world, capacity=2)
    assert [await plan.choose([]) for _ in range(2)] == ["chunk-0", "chunk-0"]
    made = await plan.choose([])
    assert made not in (None, "chunk-0")
    assert len(await graph.chunk_names(world)) == 2


async def test_what_the_caller_knows_to_be_full_is_left_out(world: Redis) -> None:
    made = await SpawnPlan(world, capacity=9).choose({"chunk-0"})
    assert made not in (None, "chunk-0")


async def test_a_shards_word_counts_at_once(world: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "FRESH_S", 3_600.0)
    plan = SpawnPlan(world, capacity=9)
    assert await plan.choose([]) == "chunk-0"
    plan.is_full("chunk-0")
    assert await plan.choose([]) != "chunk-0"


async def test_populations_are_read_now_and_then_and_when_told(world: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "FRESH_S", 3_600.0)
    plan = SpawnPlan(world, capacity=5)
    assert await plan.choose([]) == "chunk-0"
    await world.hset(keys.POPULATION, "chunk-0", "5")
    assert await plan.choose([]) == "chunk-0"  # of what it has read
    plan.forget()
    assert await plan.choose([]) != "chunk-0"


async def test_several_at_once_are_not_all_put_into_the_last_place(world: Redis) -> None:
    await world.hset(keys.POPULATION, "chunk-0", "4")
    plan = SpawnPlan(world, capacity=5)
    chosen = [await plan.choose([]) for _ in range(2)]
    assert chosen[0] == ChunkId("chunk-0") != chosen[1]


async def test_without_a_world_nothing_is_made(redis: Redis) -> None:
    assert await SpawnPlan(redis, capacity=5).choose({"chunk-0"}) is None
    assert await redis.keys("*") == []
