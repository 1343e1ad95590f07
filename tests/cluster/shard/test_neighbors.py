"""Making neighbours and collecting chunks, with everything that may come between."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from cluster import graph
from cluster.graph import COLLECT
from cluster.messages import CellAnswer, CellRequest
from streaming import keys
from tests.cluster.shard.stage import ARRIVAL, EAST, HALL, SOURCE, START, TARGET, Stage
from world.ids import AgentId, ChunkId, HandoffId
from world.outputs import CollectWanted
from world.rules import Rules

HOUR_MS = 3_600_000
REQUEST = CellRequest(HandoffId("ho-1"), AgentId("a"), ChunkId(EAST), *ARRIVAL)


async def test_a_new_neighbour_of_an_old_world_stays_for_its_idle_time(redis: Redis) -> None:
    stage = Stage(redis)
    await graph.init_world(redis, seed=1, shard_count=2)
    epoch_ms = int(await stage.redis.hget(keys.WORLD, "epoch_ms"))
    await stage.redis.hset(keys.WORLD, "epoch_ms", epoch_ms - HOUR_MS)
    await stage.build()
    assert stage.target.tick > 10_000
    await stage.tick(times=3)
    assert stage.target.world.holds(ChunkId(EAST))
    assert await stage.redis.sismember(keys.CHUNKS, EAST)


async def test_an_empty_chunk_is_collected_after_its_idle_time(redis: Redis) -> None:
    stage = await Stage(redis, rules=Rules(demo=False, collect_idle_ticks=5)).build()
    await stage.tick(times=8)
    assert not stage.target.world.holds(ChunkId(EAST))
    assert not await stage.redis.sismember(keys.CHUNKS, EAST)
    assert stage.source.world.neighbors(ChunkId(HALL))["E"] is None
    assert await stage.findings() == []


async def test_a_chunk_that_nobody_has_entered_is_loaded_by_its_owner_and_collected_in_time(redis: Redis) -> None:
    stage = await Stage(redis, rules=Rules(demo=False, collect_idle_ticks=5)).build()
    made = await graph.ensure_neighbor(redis, HALL, "N")
    owner = stage.wires.runtimes[int(await stage.redis.hget(keys.chunk(made), "shard"))]
    assert not owner.world.holds(made)
    await owner.loader.adopt()
    assert owner.world.holds(made)
    await stage.tick(times=8)
    assert not await stage.redis.exists(keys.chunk(made))


async def test_a_collection_whose_answer_is_lost_is_known_by_neighbours_all_the_same(stage: Stage) -> None:
    async def answer_lost() -> None:
        raise RedisTimeoutError("answer lost")

    stage.meddled[TARGET].after(COLLECT, answer_lost)
    await stage.target.neighbors.collect(ChunkId(EAST))
    assert not stage.target.world.holds(ChunkId(EAST))
    assert stage.source.world.neighbors(ChunkId(HALL))["E"] is None


async def test_a_collection_that_was_not_sent_in_time_cannot_run_later(stage: Stage) -> None:
    epoch = stage.target.journal.epoch

    async def never_sent() -> None:
        raise RedisTimeoutError("not sent yet")

    stage.meddled[TARGET].before(COLLECT, never_sent)
    await stage.target.neighbors.collect(ChunkId(EAST))
    assert stage.target.world.holds(ChunkId(EAST))
    late = await graph.collect(stage.redis, EAST, shard=TARGET, epoch=epoch, tick=9, trace_id="t")
    assert late == ["fenced"]
    await stage.tick()
    assert await stage.redis.sismember(keys.CHUNKS, EAST)


async def test_a_collection_under_way_while_the_world_goes_back_leaves_no_ghost(stage: Stage) -> None:
    async def reload() -> None:
        async with stage.target.commits.lock:
            await stage.target.reload()

    stage.meddled[TARGET].before(COLLECT, reload)
    await stage.target.neighbors.collect(ChunkId(EAST))
    in_redis = bool(await stage.redis.sismember(keys.CHUNKS, EAST))
    assert stage.target.world.holds(ChunkId(EAST)) == in_redis


@pytest.mark.parametrize("when", ["before the script", "after the script"])
async def test_a_collector_killed_leaves_a_whole_graph_and_a_way_to_the_east(stage: Stage, when: str) -> None:
    async def dies() -> None:
        raise asyncio.CancelledError

    hook = stage.meddled[TARGET].before if when == "before the script" else stage.meddled[TARGET].after
    hook(COLLECT, dies)
    with pytest.raises(asyncio.CancelledError):
        await stage.target.neighbors.collect(ChunkId(EAST))
    await stage.begin(TARGET)
    assert await stage.findings() == []
    assert stage.target.world.holds(ChunkId(EAST)) == (when == "before the script")
    await stage.stand("a", *START)  # the source still believes in its neighbour
    await stage.walk_east()
    await stage.tick(times=20)
    place = stage.place("a")
    assert place is not None
    assert place[1:] == ARRIVAL
    assert (place[0] == EAST) == (when == "before the script")
    assert await stage.results() == [("cmd-1", "completed")]
    assert await stage.findings("a") == []


async def test_who_asks_for_a_cell_while_the_chunk_is_collected_is_told_that_it_is_gone(stage: Stage) -> None:
    await stage.stand("a", *START)
    asking: list[asyncio.Task[object]] = []

    async def ask() -> None:
        asking.append(asyncio.create_task(stage.target.arrivals.reserve([REQUEST])))
        await asyncio.sleep(0)

    stage.meddled[TARGET].before(COLLECT, ask)
    await stage.target.neighbors.collect(ChunkId(EAST))
    assert await asking[0] == [CellAnswer("gone")]


async def test_a_chunk_with_a_reserved_cell_is_not_collected(stage: Stage) -> None:
    assert await stage.target.arrivals.reserve([REQUEST]) == [CellAnswer("reserved")]
    await stage.target.neighbors.collect(ChunkId(EAST))
    assert stage.target.world.holds(ChunkId(EAST))
    assert await stage.redis.sismember(keys.CHUNKS, EAST)
    assert len(stage.target.reservations) == 1


async def test_a_refresh_of_a_chunk_that_leaves_meanwhile_is_nothing_to_do(stage: Stage) -> None:
    real = stage.redis.hmget

    async def gives_meanwhile(*words: object) -> object:
        found = await real(*words)
        assert await stage.target.handover.give(EAST, SOURCE) is not None
        return found

    with patch.object(stage.redis, "hmget", gives_meanwhile):
        await stage.target.neighbors.refresh([EAST])
    assert stage.source.world.holds(ChunkId(EAST))


@pytest.mark.parametrize("tries", [2])
async def test_a_neighbour_that_does_not_answer_is_told_again(stage: Stage, tries: int) -> None:
    real, calls = stage.wires.call, []

    async def unreachable(shard: int, timeout_s: float, method: Any, *args: object) -> object:
        calls.append(method.__name__)
        if method.__name__ == "refresh" and calls.count("refresh") < tries:
            stage.wires.cut.add("refresh")
        else:
            stage.wires.cut.discard("refresh")
        return await real(shard, timeout_s, method, *args)

    with (
        patch.object(stage.wires, "call", unreachable),
        patch("cluster.shard.neighbors.UNLINK_PAUSE_S", 0.01),
    ):
        await stage.target.neighbors.collect(ChunkId(EAST))
    assert calls.count("refresh") == tries
    assert stage.source.world.neighbors(ChunkId(HALL))["E"] is None
    assert CollectWanted(ChunkId(EAST)) not in stage.source.world.take().requests
    assert SOURCE in stage.wires.runtimes
