"""A dumped world made ready to go on: nobody lost or twice, nothing that a client of the old world may know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest
from redis.asyncio import Redis

from cluster.local import LocalWorld
from cluster.peers import ShardUnavailable
from operations.fsck import check, read_dump
from operations.world_dump import WorldDump, checkable, from_lines, read_world, to_lines
from operations.world_load import write_world
from operations.world_settle import Beginning, beginning, settle
from streaming import keys
from streaming.agent_record import read_agent
from streaming.journal import Fenced
from streaming.replay import Unreplayable, replay
from tests.cluster.lasting import QUICK, RULES, empty_redis, essence, heard, playing
from tests.cluster.worlds import player, whole


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with empty_redis(valkey_url) as client:
        yield client


def a_beginning(dump: WorldDump) -> Beginning:
    now_ms = int(dump.world["epoch_ms"]) + 3_600_000
    return beginning(dump, "run_new", now_ms=now_ms, tick_hz=5)


async def dumped(redis: Redis) -> WorldDump:
    dump = await read_world(redis)
    assert dump is not None
    return dump


async def test_dumps_of_a_world_that_plays_are_whole(redis: Redis) -> None:
    """Each of many looks, while agents cross between shards, has every agent in exactly one place."""
    under_way = 0
    async with LocalWorld(redis, shards=3, rules=RULES, config=QUICK) as world, playing(world, 12):
        for _ in range(60):
            dump = await dumped(redis)
            assert check(checkable(dump)) == []
            under_way += sum(len(chunk.inbox) for chunk in dump.chunks.values())
            settled = settle(dump, a_beginning(dump), RULES)
            assert check(checkable(settled)) == []
            assert settled.counts() == dump.counts() | {"facts": 0}
            assert essence(settled) == essence(dump)
            await asyncio.sleep(0.03)
    assert under_way > 0, "nobody was ever under way between two shards: the test shows less than it should"


async def test_lines_give_the_same_world_again(redis: Redis) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world, playing(world, 4):
        await asyncio.sleep(0.5)
        dump = await dumped(redis)
    assert dump.facts
    assert from_lines(to_lines(dump)) == dump


@pytest.mark.parametrize(
    "lines", [[], [b"{}"], [b"[]"], [b"null"], [b"not json"], [b'{"world":{},"shards":{},"archived":"0-0"}', b"{}"]]
)
def test_other_lines_are_refused(lines: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_lines(lines)


async def test_a_world_written_back_goes_on_with_everybody_in_place(redis: Redis) -> None:
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world, playing(world, 6) as agents:
        await asyncio.sleep(1.5)
        dump = await dumped(redis)
        names = [agent.agent_id for agent in agents]
    begin = a_beginning(dump)
    for key in ("sess:x", "chal:x", "inflight:agent-0", "lock:chunk:chunk-0:dir:N", "mute:agent-0"):
        await redis.set(key, "stale")
    await write_world(redis, settle(dump, begin, RULES))
    assert sorted(await redis.keys("*[a-z]:x")) == []
    assert await redis.exists("inflight:agent-0", "lock:chunk:chunk-0:dir:N", "mute:agent-0", keys.PRESENCE) == 0
    again = await dumped(redis)
    assert essence(again) == essence(dump)
    assert check(await read_dump(redis, names)) == []
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world:
        assert all(runtime.tick >= begin.tick for runtime in world.shards.runtimes.values())
        stayed = [id_ for id_, fields in again.agents.items() if fields["here"] == "1"]
        there = {id_ for runtime in world.shards.runtimes.values() for id_ in runtime.world.agent_ids}
        assert there == set(stayed)
        walker = await player(world, "agent-0")
        chunk_id, x, y = await walker.place()
        record = orjson.loads(again.agents["agent-0"]["rec"])
        if record["running"] is None:
            assert (chunk_id, x, y) == (record["chunk_id"], record["x"], record["y"])
        assert await heard(walker)
        assert await whole(redis, names) == []


async def test_commands_that_ran_get_their_one_result_after_it(redis: Redis) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        walker = await player(world, "w")
        await walker.submit({"type": "move_to", "x": 25, "y": 49})
        dump = await dumped(redis)
        [command] = walker.accepted
    assert orjson.loads(dump.agents["w"]["rec"])["running"]["server_cmd_id"] == command
    assert dump.agents["w"]["busy"] == "move_to"
    await write_world(redis, settle(dump, a_beginning(dump), RULES))
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        walker.router = world.router
        assert (await walker.result(command))["status"] == "completed"
        await asyncio.sleep(0.2)
        assert len(await walker.events("command_result")) == 1


async def test_ids_of_the_old_world_lead_to_a_resync(redis: Redis) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        walker = await player(world, "w")
        dump = await dumped(redis)
        await walker.move(25, 27)  # the old world goes on after its backup
        chunk_id, _, _ = await walker.place()
        known_tick = (await dumped(redis)).chunks[chunk_id].tick
        known_seq = int(await redis.hget(keys.agent("w"), "seq") or 0)
    begin = beginning(dump, "run_new", now_ms=int(dump.world["epoch_ms"]) + known_tick * 40, tick_hz=25)
    assert begin.tick > known_tick
    await write_world(redis, settle(dump, begin, RULES))
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        walker.router = world.router
        await walker.move(25, 29)
        for since in range(known_seq + 1):
            assert (await read_agent(redis, "w", since)).missed is None
        for tick in (known_tick, dump.chunks[chunk_id].tick, 1):
            with pytest.raises(Unreplayable):
                [page async for page in replay(redis, keys.chunk_stream(chunk_id), (tick, 0))]
        seq = int(await redis.hget(keys.agent("w"), "seq") or 0)
        assert seq > known_seq + 1_000
        missed = (await read_agent(redis, "w", int(dump.agents["w"]["seq"]) + begin.seq_gap)).missed
        assert missed is not None
        assert [event.kind for event in missed][-1] == "command_result"


async def test_a_shard_of_the_old_world_that_still_runs_is_fenced(redis: Redis) -> None:
    world = LocalWorld(redis, shards=1, rules=RULES, config=QUICK)
    async with world:
        await player(world, "w")
        epoch = world._tasks[0]
        dump = await dumped(redis)
        await write_world(redis, settle(dump, beginning(dump, "r", now_ms=10**13, tick_hz=5, there=dump), RULES))
        before = await dumped(redis)

        runtime = world.shards.runtimes[0]
        runtime.commits.next.additions.chunk_state("chunk-0", b"{}")
        with pytest.raises(ShardUnavailable):
            await runtime.commits.flush()
        await asyncio.wait([epoch], timeout=10)
        assert isinstance(epoch.exception(), Fenced)
        assert (await dumped(redis)).chunks == before.chunks


async def test_a_beginning_is_above_everything_old() -> None:
    dump = WorldDump(
        {"epoch_ms": "1000", "next_chunk": "7"},
        shards={"0": {"epoch": "3", "tick": "900"}, "1": {"epoch": "5000000000"}},
    )
    there = replace(dump, world=dump.world | {"next_chunk": "50"}, shards={"0": {"epoch": "1", "tick": "5000"}})
    late = beginning(dump, "r", now_ms=2_001_000, tick_hz=5, there=there)
    assert late.tick > 10_000
    early = beginning(dump, "r", now_ms=0, tick_hz=5, there=there)
    assert early.tick > 5000
    assert early.epoch > 5_000_000_000
    assert early.next_chunk > 50


async def test_an_agent_that_no_chunk_has_keeps_its_record_and_is_away(redis: Redis) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        await player(world, "w")
        dump = await dumped(redis)
    dump.chunks["chunk-0"].members.clear()
    settled = settle(dump, a_beginning(dump), RULES)
    assert settled.agents["w"]["here"] == "0"
    assert settled.agents["w"]["rec"] == dump.agents["w"]["rec"]
    assert settled.chunks["chunk-0"].members == []
    assert '"agents":[]' in settled.chunks["chunk-0"].last
