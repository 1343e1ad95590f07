"""Pinning: what there is, once, and what is forgotten with its chunk."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from cluster import graph
from cluster.pins import NothingToPin, Pins, forget_collected, pin, read_pins, unpin
from world.ids import HALL, ChunkId


@pytest.fixture
async def world(redis: Redis) -> Redis:
    await graph.init_world(redis, seed=1, shard_count=2)
    return redis


async def test_a_chunk_and_a_shard_are_pinned_until_they_are_not(world: Redis) -> None:
    assert await read_pins(world) == Pins()
    assert [await pin(world, HALL), await pin(world, HALL), await pin(world, "shard-1")] == [True, False, True]
    assert await read_pins(world) == Pins(frozenset({HALL}), frozenset({1}))
    assert [await unpin(world, HALL), await unpin(world, HALL)] == [True, False]
    assert await read_pins(world) == Pins(shards=frozenset({1}))


@pytest.mark.parametrize(
    "name", ["chunk-9", "shard-2", "shard-", "shard--1", "shard-٣", "shard-" + "9" * 30, "", "1", "\udcff", "a b"]
)
async def test_what_there_is_not_is_not_pinned(world: Redis, name: str) -> None:
    with pytest.raises(NothingToPin):
        await pin(world, name)
    assert await read_pins(world) == Pins()
    assert not await unpin(world, name)


async def test_without_a_world_there_is_nothing_to_pin(redis: Redis) -> None:
    for name in (HALL, "shard-0"):
        with pytest.raises(NothingToPin):
            await pin(redis, name)


async def test_a_pin_goes_with_its_chunk_and_a_shards_stays(world: Redis) -> None:
    made = await graph.ensure_neighbor(world, HALL, "N")
    for name in (HALL, made, "shard-0"):
        await pin(world, name)
    await forget_collected(world, await read_pins(world), [HALL])
    assert await read_pins(world) == Pins(frozenset({ChunkId(HALL)}), frozenset({0}))
