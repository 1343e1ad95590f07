"""What is frozen stands still and loses nothing: over a restart, a move, and whoever wants in."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from cluster.local import LocalWorld
from cluster.peers import ShardUnavailable
from cluster.shard.config import ShardConfig
from streaming import keys
from streaming.frozen import WORLD, freeze, thaw
from tests.cluster.shard.stage import EAST, HALL, SOURCE, START, TARGET, Stage, command
from tests.cluster.worlds import newest_delta, player, settled, until
from world.ids import ChunkId

WALK = {"type": "move_to", "x": 40, "y": 24}
FAST = ShardConfig(tick_hz=50.0, freeze_interval_s=0.05)


async def look(stage: Stage, *shards: int) -> None:
    for shard in shards or (SOURCE, TARGET):
        await stage.wires.runtimes[shard].freezing.look()


async def walking(stage: Stage) -> int:
    """An agent walks in the hall, which is then frozen; returns the tick of its last delta."""
    await stage.stand("a", *START)
    assert (await stage.submit("a", "cmd-1", WALK)).accepted
    await stage.tick(times=2)
    await freeze(stage.redis, HALL, "alice", 1)
    await look(stage)
    assert not stage.source.world.holds(ChunkId(HALL))
    return int((await newest_delta(stage.redis, HALL))["tick"])


async def goes_on(stage: Stage, shard: int) -> None:
    await stage.tick(shard, times=12)
    assert stage.place("a") == (HALL, 40, 24)
    assert await stage.results() == [("cmd-1", "completed")]
    assert await stage.findings("a") == []


async def test_a_frozen_chunk_has_no_tick_and_no_command_and_then_goes_on(stage: Stage) -> None:
    tick = await walking(stage)
    await stage.tick(times=20)
    assert (await newest_delta(stage.redis, HALL))["tick"] == tick
    [answer] = await stage.source.submit([command("a", "cmd-2", WALK)])
    assert answer.moved  # its gateway tries it again, and says `busy` in the end
    assert await stage.results() == []
    await thaw(stage.redis, HALL)
    await look(stage)
    await goes_on(stage, SOURCE)


async def test_a_shard_that_dies_while_its_chunk_is_frozen_loses_nothing(stage: Stage) -> None:
    await walking(stage)
    await stage.begin(SOURCE)
    assert not stage.source.world.holds(ChunkId(HALL))
    await stage.tick(times=5)
    await thaw(stage.redis, HALL)
    await look(stage)
    await goes_on(stage, SOURCE)


async def test_a_shard_that_dies_before_it_has_put_the_chunk_out_loses_nothing(stage: Stage) -> None:
    await stage.stand("a", *START)
    assert (await stage.submit("a", "cmd-1", WALK)).accepted
    await freeze(stage.redis, HALL, "alice", 1)
    await stage.begin(SOURCE)
    assert not stage.source.world.holds(ChunkId(HALL))
    await thaw(stage.redis, HALL)
    await stage.begin(SOURCE)
    await goes_on(stage, SOURCE)


async def test_a_frozen_chunk_may_be_moved_and_goes_on_there(stage: Stage) -> None:
    await walking(stage)
    assert await stage.source.handover.give(HALL, TARGET) == 0.0
    assert await stage.redis.hget(keys.chunk(HALL), "shard") == str(TARGET).encode()
    assert not stage.target.world.holds(ChunkId(HALL))
    assert await stage.source.handover.give(HALL, TARGET) is None
    await thaw(stage.redis, HALL)
    await look(stage)
    assert not stage.source.world.holds(ChunkId(HALL))
    await goes_on(stage, TARGET)


async def test_one_that_could_not_be_loaded_when_it_was_thawed_is_loaded_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await walking(stage)
    await thaw(stage.redis, HALL)

    async def away(_: str) -> bool:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(stage.source.loader, "ensure", away)
        with pytest.raises(ConnectionError):
            await look(stage, SOURCE)
    await look(stage, SOURCE)
    await goes_on(stage, SOURCE)


async def test_who_walks_towards_a_frozen_chunk_stays_where_it_is(stage: Stage) -> None:
    await stage.stand("a", *START)
    await freeze(stage.redis, EAST, "alice", 1)
    await look(stage)
    await stage.walk_east()
    await stage.tick(times=60)
    place = stage.place("a")
    assert place is not None
    assert place[0] == HALL
    await thaw(stage.redis, EAST)
    await look(stage)
    assert await stage.findings("a") == []


async def test_a_frozen_world_takes_nothing_and_goes_on_as_it_was(redis: Redis) -> None:
    async with LocalWorld(redis, shards=2, config=FAST) as world:
        one = await player(world, "one")
        assert (await one.submit({"type": "move_to", "x": 25, "y": 40})).accepted
        await freeze(redis, WORLD, "alice", 1)
        runtimes = world.shards.runtimes

        async def still() -> bool:
            return all(runtime.epoch.frozen for runtime in runtimes.values())

        await until(still, "the world stands still")
        with pytest.raises(ShardUnavailable, match="frozen"):
            runtimes[0].epoch.check_open()
        assert await world.router.problems() == []
        await world.kill_shard(1)
        again = await world.start_shard(1)
        await asyncio.sleep(0.2)
        before = runtimes[0].stats.ticks
        await asyncio.sleep(0.2)
        assert (again.stats.ticks, runtimes[0].stats.ticks) == (0, before)
        await thaw(redis, WORLD)
        assert (await one.result())["status"] == "completed"
        assert await settled(world, [one]) == []


async def test_who_comes_new_is_seated_elsewhere(redis: Redis) -> None:
    async with LocalWorld(redis, shards=1, config=FAST) as world:
        await freeze(redis, HALL, "alice", 1)
        one = await player(world, "one")
        assert (await one.place())[0] != HALL
