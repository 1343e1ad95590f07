"""Giving chunks to another shard while agents walk, harvest and cross; the giver killed before and after the script."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter

import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from cluster.local import LocalWorld
from cluster.messages import JoinAnswer
from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard.config import ShardConfig
from cluster.shard.handover import GIVE
from streaming import keys
from streaming.connect import as_text
from streaming.lua import run
from tests.cluster.shard.stage import ARRIVAL, EAST, HALL, SOURCE, START, TARGET, Stage, seat
from tests.cluster.worlds import Player, newest_delta, player, settled
from world.ids import ChunkId
from world.rules import Rules
from world.terrain import make_terrain

FAST = ShardConfig(tick_hz=50.0, presence_interval_s=0.1)
WALK = {"type": "move_to", "x": 30, "y": 24}


async def owner(stage: Stage, chunk_id: str) -> int:
    return int(await stage.redis.hget(keys.chunk(chunk_id), "shard"))


def holders(stage: Stage, chunk_id: str) -> list[int]:
    return [shard for shard, rt in stage.wires.runtimes.items() if rt.world.holds(ChunkId(chunk_id))]


async def test_a_walk_goes_on_at_the_other_shard(stage: Stage) -> None:
    await stage.stand("a", *START)
    assert (await stage.submit("a", "cmd-1", WALK)).accepted
    await stage.tick(times=3)
    assert await stage.source.handover.give(HALL, TARGET) is not None
    assert holders(stage, HALL) == [TARGET]
    assert await owner(stage, HALL) == TARGET
    assert stage.place("a") == (HALL, 44, 24)
    await stage.tick(TARGET, times=15)
    assert stage.place("a") == (HALL, 30, 24)
    assert await stage.results() == [("cmd-1", "completed")]
    assert await stage.findings("a") == []


async def test_a_harvest_goes_on_and_no_gold_is_lost_or_made(stage: Stage) -> None:
    hall = make_terrain(1, 0, None, stage.rules)
    node = hall.nodes[0]
    around = [(node.x + dx, node.y + dy) for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    x, y = next(cell for cell in around if hall.floor[cell[1], cell[0]])
    await stage.stand("a", x, y)
    command = {"type": "harvest", "node_id": f"{HALL}-node-0"}
    assert (await stage.submit("a", "cmd-1", command)).accepted
    for shard in (SOURCE, TARGET, SOURCE):
        await stage.tick(shard, times=7)
        assert await stage.wires.runtimes[shard].handover.give(HALL, 1 - shard) is not None
    await stage.tick(TARGET, times=node.max_remaining * 5)
    assert await stage.results() == [("cmd-1", "completed")]
    left = {view["node_id"]: view["remaining"] for view in (await newest_delta(stage.redis, HALL))["resources"]}
    record = stage.target.world.agents(ChunkId(HALL))[0]
    assert record.gold == node.max_remaining
    assert left[f"{HALL}-node-0"] == 0


@pytest.mark.parametrize("ticks", [0, 1, 2])
@pytest.mark.parametrize("chunk_id", [HALL, EAST])
async def test_a_crossing_ends_whichever_of_its_chunks_is_given_and_when(
    stage: Stage, ticks: int, chunk_id: str
) -> None:
    await stage.stand("a", *START)
    await stage.walk_east()
    for _ in range(ticks):
        await stage.tick(SOURCE)
    giver = await owner(stage, chunk_id)
    assert await stage.wires.runtimes[giver].handover.give(chunk_id, 1 - giver) is not None
    await stage.tick(times=8)
    assert stage.place("a") == (EAST, *ARRIVAL)
    assert await stage.results() == [("cmd-1", "completed")]
    assert not await stage.redis.exists(keys.inbox(EAST))
    assert await stage.findings("a") == []


@pytest.mark.parametrize("script", ["not sent", "runs, answer lost"])
async def test_a_giver_that_does_not_hear_of_the_script_finds_out(stage: Stage, script: str) -> None:
    await stage.stand("a", *START)

    async def lost() -> None:
        raise RedisTimeoutError("no answer")

    epoch = stage.source.journal.epoch
    if script == "not sent":
        stage.meddled[SOURCE].before(GIVE, lost)
        with pytest.raises(WorldReloaded):
            await stage.source.handover.give(HALL, TARGET)
        assert holders(stage, HALL) == [SOURCE]
        given = GIVE(chunk=keys.chunk(HALL), shard=SOURCE, epoch=epoch, to_shard=TARGET, state="{}", id=HALL)
        late = await run(stage.redis, given)
        assert late == b"fenced"
        assert await owner(stage, HALL) == SOURCE
    else:
        stage.meddled[SOURCE].after(GIVE, lost)
        assert await stage.source.handover.give(HALL, TARGET) is not None
        assert holders(stage, HALL) == [TARGET]
    assert stage.place("a") == (HALL, *START)
    await stage.tick()
    assert await stage.findings("a") == []


@pytest.mark.parametrize("when", ["before the script", "after the script"])
async def test_a_giver_killed_leaves_the_chunk_with_one_owner(stage: Stage, when: str) -> None:
    await stage.stand("a", *START)
    assert (await stage.submit("a", "cmd-1", WALK)).accepted
    await stage.tick(SOURCE, times=3)
    stage.wires.cut.add("load")

    async def dies() -> None:
        raise asyncio.CancelledError

    hook = stage.meddled[SOURCE].before if when == "before the script" else stage.meddled[SOURCE].after
    hook(GIVE, dies)
    with pytest.raises((ShardUnavailable, asyncio.CancelledError)):
        await stage.source.handover.give(HALL, TARGET)
    await stage.begin(SOURCE)
    await stage.target.loader.adopt()
    keeper = SOURCE if when == "before the script" else TARGET
    assert holders(stage, HALL) == [keeper]
    assert await owner(stage, HALL) == keeper
    await stage.tick(times=16)
    assert stage.place("a") == (HALL, 30, 24)
    assert await stage.results() == [("cmd-1", "completed")]
    assert await stage.findings("a") == []


async def test_a_chunk_is_loaded_by_its_new_owner_though_nobody_tells_it(stage: Stage) -> None:
    await stage.stand("a", *START)
    stage.wires.cut.add("load")
    with pytest.raises(ShardUnavailable):
        await stage.source.handover.give(HALL, TARGET)
    assert holders(stage, HALL) == []
    await stage.target.loader.adopt()
    assert holders(stage, HALL) == [TARGET]
    assert not await stage.redis.exists(keys.adopt(TARGET))


async def test_a_call_about_the_chunk_while_it_is_given_does_not_bring_it_back(stage: Stage) -> None:
    await stage.stand("a", *START)
    calls: list[asyncio.Task[object]] = []

    async def join() -> None:
        calls.append(asyncio.create_task(seat(stage.source, "b", HALL)))
        calls.append(asyncio.create_task(stage.source.loader.ensure(HALL)))
        await asyncio.sleep(0.05)

    await stage.redis.hset(keys.agent("b"), "chunk", HALL)
    stage.meddled[SOURCE].before(GIVE, join)
    assert await stage.source.handover.give(HALL, TARGET) is not None
    assert [await call for call in calls] == [JoinAnswer("gone"), False]
    assert holders(stage, HALL) == [TARGET]


async def test_a_caller_that_gives_up_does_not_stop_a_handover_halfway(stage: Stage) -> None:
    await stage.stand("a", *START)
    caller: list[asyncio.Task[float | None]] = []

    async def gives_up() -> None:
        caller[0].cancel()
        await asyncio.sleep(0.02)

    stage.meddled[SOURCE].before(GIVE, gives_up)
    caller.append(asyncio.create_task(stage.source.handover.give(HALL, TARGET)))
    await asyncio.gather(*caller, return_exceptions=True)
    await stage.settle()
    assert holders(stage, HALL) == [await owner(stage, HALL)] == [TARGET]


async def test_events_that_wait_for_the_next_delta_are_shown_by_the_new_owner(stage: Stage) -> None:
    await stage.tick()
    await stage.stand("a", *START)
    assert await stage.source.handover.give(HALL, TARGET) is not None
    await stage.tick(TARGET)
    delta = await newest_delta(stage.redis, HALL)
    assert {"type": "agent_joined", "agent_id": "a"} in delta["events"]
    await stage.tick(TARGET)
    await stage.begin(TARGET)
    await stage.tick(TARGET)
    assert (await newest_delta(stage.redis, HALL))["events"] == []


async def test_what_is_not_ours_or_goes_to_ourselves_is_not_given(stage: Stage) -> None:
    assert await stage.source.handover.give(EAST, TARGET) is None
    assert await stage.source.handover.give("chunk-99", TARGET) is None
    assert await stage.source.handover.give(HALL, SOURCE) is None
    assert holders(stage, HALL) == [SOURCE]


async def test_chunks_change_hands_while_agents_walk_and_cross(
    redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pauses are printed, never judged."""
    pauses: list[float] = []
    async with LocalWorld(redis, shards=3, seed=1, rules=Rules(demo=False), config=FAST) as world:
        players = [await player(world, f"a{number}") for number in range(8)]
        targets = [(49, 23), (49, 24), (0, 24), (0, 25), (30, 30), (20, 20), (24, 49), (25, 0)]

        async def play(one: Player, target: tuple[int, int]) -> None:
            for x, y in (target, (25, 25), target):
                decision = await one.submit({"type": "move_to", "x": x, "y": y})
                if decision.accepted:
                    await one.result()

        playing = asyncio.gather(*(play(one, target) for one, target in zip(players, targets, strict=True)))
        turn = 0
        while not playing.done():
            turn += 1
            for name in sorted(as_text(chunk) for chunk in await world.redis.smembers(keys.CHUNKS)):
                shard = int(await world.redis.hget(keys.chunk(name), "shard") or -1)
                try:
                    pause = await world.shards.shard(shard, timeout_s=10.0).give(name, (shard + turn) % 3)
                except (ShardUnavailable, WorldReloaded):
                    continue
                if pause is not None:
                    pauses.append(pause)
            await asyncio.sleep(0.05)
        await playing
        for one in players:
            results = Counter(payload["server_cmd_id"] for _, payload in await one.events("command_result"))
            assert set(results) == set(one.accepted)
            assert set(results.values()) == {1}
            acks = [payload["server_cmd_id"] for _, payload in await one.events("command_ack")]
            assert len(acks) == len(set(acks)) == len(one.submitted)
        assert await settled(world, players) == []
    assert pauses
    with capsys.disabled():
        print(
            f"\n{len(pauses)} chunks given: pause p50 {statistics.median(pauses) * 1000:.1f} ms,"
            f" longest {max(pauses) * 1000:.1f} ms"
        )


async def test_a_chunk_is_given_when_the_other_shard_has_come_to_the_same_tick(stage: Stage) -> None:
    """Else it would leave a tick out in all its chunks."""
    await stage.stand("a", *START)
    ours, theirs = stage.source._clock, stage.target._clock
    while ours.due(time.monotonic()) == theirs.due(time.monotonic()):
        await asyncio.sleep(0.005)
    stage.source.memory.tick = tick = ours.due(time.monotonic())
    assert await stage.source.handover.give(HALL, TARGET) is not None
    assert holders(stage, HALL) == [TARGET]
    assert theirs.due(time.monotonic()) >= tick
