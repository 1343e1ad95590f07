"""Loading chunks: what stands in Redis comes into memory once, and only what is this shard's."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from unittest.mock import patch

import orjson
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from cluster import graph
from cluster.shard.loading import ChunkLoader
from cluster.shard.memory import ShardMemory
from cluster.shard.next_commit import NextCommit
from cluster.shard.reservations import Reservations
from cluster.tick_clock import TickClock
from streaming import keys
from world.ids import HALL
from world.rules import Rules

MINE, OTHER = 0, 1


class Scene:
    """``chunk-0`` belongs to this shard, and nobody has ever loaded it."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        self.memory = ShardMemory(MINE, Rules(demo=False), 1)
        self.reservations = Reservations(self.memory)
        self.next = NextCommit()
        self.clock = TickClock(hz=5.0, origin=0.0)
        self.loader = ChunkLoader(redis, self.memory, self.reservations, self.next, self.clock, adopt_interval_s=0.01)


@pytest.fixture
async def scene(redis: Redis) -> Scene:
    await graph.init_world(redis, seed=1, shard_count=2)
    await cast("Any", redis).hset(keys.chunk(HALL), "shard", MINE)
    return Scene(redis)


async def test_a_chunk_comes_into_memory_with_its_reservations_and_its_static_into_the_next_commit(
    scene: Scene,
) -> None:
    await scene.redis.hset(keys.reservations(HALL), "0,24", "ho-1 99999999999999")
    await scene.loader.load_owned()
    assert scene.memory.world.holds(HALL)
    assert len(scene.reservations) == 1
    assert scene.next.last_ids == {HALL: "0-0"}
    assert scene.next.additions.ops[:2] == ["T", HALL]


async def test_callers_that_come_together_load_it_once(scene: Scene) -> None:
    assert await asyncio.gather(*(scene.loader.ensure(HALL) for _ in range(5))) == [True] * 5
    assert scene.next.additions.ops.count("T") == 1


async def test_what_is_not_ours_or_does_not_exist_is_not_loaded(scene: Scene) -> None:
    await scene.redis.hset(keys.chunk(HALL), "shard", OTHER)
    assert await scene.loader.load([HALL, "chunk-9"]) == [False, False]
    assert not scene.memory.world.holds(HALL)


async def test_what_was_read_before_a_reload_is_read_again(scene: Scene) -> None:
    real, reads = scene.loader._agents, []

    async def goes_back_once(chunk_id: str, members: list[str]) -> Any:
        reads.append(chunk_id)
        if len(reads) == 1:
            scene.memory.begin_anew(2)
        return await real(chunk_id, members)

    with patch.object(scene.loader, "_agents", goes_back_once):
        assert await scene.loader.ensure(HALL)
    assert len(reads) == 2


async def test_the_clock_and_the_tick_rise_to_a_chunk_that_is_ahead(scene: Scene) -> None:
    await scene.loader.ensure(HALL)
    ahead = 10**9
    delta = {"chunk_id": HALL, "tick": ahead, "agents": [], "npcs": [], "resources": [], "events": []}
    message = b"0-0 chunk_delta 1 t\n" + orjson.dumps(delta)
    await scene.redis.xadd(keys.chunk_stream(HALL), {"m": message}, id=f"{ahead}-0")
    scene.memory.begin_anew(2)
    await scene.loader.ensure(HALL)
    assert scene.memory.tick >= ahead
    assert scene.next.last_ids[HALL] == f"{ahead}-0"


async def test_who_wants_a_chunk_that_leaves_waits_for_what_becomes_of_it(scene: Scene) -> None:
    with scene.loader.leaving(HALL):
        assert scene.loader.is_leaving(HALL)
        waiting = asyncio.create_task(scene.loader.ensure(HALL))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await scene.redis.hset(keys.chunk(HALL), "shard", OTHER)
    assert await waiting is False
    assert not scene.loader.is_leaving(HALL)


async def test_chunks_to_adopt_are_put_back_when_redis_fails_on_the_way(scene: Scene) -> None:
    await scene.redis.sadd(keys.adopt(MINE), HALL)

    async def away(chunk_id: str) -> bool:
        raise RedisConnectionError("away")

    with patch.object(scene.loader, "ensure", away), pytest.raises(RedisConnectionError):
        await scene.loader.adopt()
    assert await scene.redis.smembers(keys.adopt(MINE)) == {HALL.encode()}
    looping = asyncio.create_task(scene.loader.loop())
    while not scene.memory.world.holds(HALL):
        await asyncio.sleep(0.01)
    looping.cancel()
    assert not await scene.redis.exists(keys.adopt(MINE))
