"""Snapshots of a world that plays, and the world that comes back from them when Redis is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.archiver import Archiver
from cluster.graph import collect
from cluster.local import LocalWorld
from cluster.snapshots import Snapshotter
from cluster.world_rules import rules_in
from config.settings import Settings
from operations.fsck import check, read_dump
from operations.rebuild import NothingToRebuild, bring_back, fit, rebuild
from operations.world_dump import WorldDump, checkable, read_world
from operations.world_load import WorldThere
from store import runs, snapshots
from store.engine import make_engine
from store.runs import RunRecord
from store.snapshots import AgentState, ChunkState
from streaming import keys
from tests.cluster.lasting import KEEP, QUICK, RULES, empty_redis, essence, heard, playing
from tests.cluster.worlds import player, until, whole
from world.rules import WORLD_RULES, Rules


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with empty_redis(valkey_url) as client:
        yield client


@pytest.fixture
async def engine(fresh_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(fresh_postgres_url)
    yield engine
    await engine.dispose()


async def dumped(redis: Redis) -> WorldDump:
    dump = await read_world(redis)
    assert dump is not None
    return dump


async def taken(engine: AsyncEngine) -> dict[str, int]:
    """How many snapshots there are of each chunk."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT chunk_id, count(*) FROM snapshots GROUP BY 1"))
        return {str(row[0]): int(row[1]) for row in rows}


# -- taking them --


async def test_only_what_has_changed_is_taken_again(redis: Redis, engine: AsyncEngine) -> None:
    snapshotter = Snapshotter(redis, engine, keep=KEEP)
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        walker = await player(world, "w")
        await walker.move(25, 49)  # into a second chunk
        there, _, _ = await walker.place()
        assert await snapshotter.look() == 2
        assert await snapshotter.look() == 0
        await walker.submit({"type": "say", "text": "hällo 😀"})
        await walker.result()
        await walker.place()
        assert await snapshotter.look() == 1
    assert await taken(engine) == {"chunk-0": 1, there: 2}


async def test_the_next_life_of_the_archiver_goes_on_where_the_last_was(redis: Redis, engine: AsyncEngine) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        walker = await player(world, "w")
        await walker.place()
        assert await Snapshotter(redis, engine, keep=KEEP).look() == 1
        assert await Snapshotter(redis, engine, keep=KEEP).look() == 0


async def test_a_snapshot_is_the_chunk_and_everybody_in_it(redis: Redis, engine: AsyncEngine) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        walker = await player(world, "w")
        await walker.place()
        await Snapshotter(redis, engine, keep=KEEP).look()
        dump = await dumped(redis)
    [chunk] = await snapshots.newest(engine, dump.world["run"])
    assert chunk.tick == dump.chunks["chunk-0"].tick
    assert chunk.state["fields"] == dump.chunks["chunk-0"].fields
    assert chunk.state["last"] == dump.chunks["chunk-0"].last
    assert chunk.state["members"] == ["w"]
    assert chunk.state["agents"]["w"] == dump.agents["w"]


async def test_a_collected_chunk_is_marked(redis: Redis, engine: AsyncEngine) -> None:
    snapshotter = Snapshotter(redis, engine, keep=KEEP)
    async with LocalWorld(redis, shards=1, rules=RULES, config=QUICK) as world:
        walker = await player(world, "w")
        await walker.move(25, 49)
        there, _, _ = await walker.place()
        await walker.move(25, 0)  # and back
        await walker.place()
        await snapshotter.look()
        epoch = world.shards.runtimes[0].journal.epoch
        assert (await collect(redis, there, shard=0, epoch=epoch, tick=10**6, trace_id="t"))[0] == "collected"
        await snapshotter.look()
        run_id = (await dumped(redis)).world["run"]
    assert [chunk.chunk_id for chunk in await snapshots.newest(engine, run_id)] == ["chunk-0"]


async def test_who_has_left_the_world_keeps_what_it_owns(redis: Redis, engine: AsyncEngine) -> None:
    """An agent that came and went between two looks is in no chunk's snapshot; the archiver tells of it."""
    snapshotter = Snapshotter(redis, engine, keep=KEEP)
    await_config = type(QUICK)(tick_hz=25.0, presence_pause_after_stall_s=0.1, presence_interval_s=0.05)
    async with LocalWorld(redis, rules=RULES, config=await_config) as world:
        await snapshotter.look()
        walker = await player(world, "w")
        await walker.place()
        await redis.zadd(keys.PRESENCE, {"w": 0})

        async def away() -> bool:
            return await redis.hget(keys.agent("w"), "here") == b"0"

        await until(away, "the agent's leave")
        await Archiver(redis, engine, has_left=snapshotter.has_left).drain()
        await snapshotter.look()
    [agent] = await snapshots.agents(engine)
    assert (agent.agent_id, agent.state["here"]) == ("w", "0")
    assert agent.state["rec"] == (await dumped(redis)).agents["w"]["rec"]


# -- coming back from them --


async def test_a_world_at_rest_comes_back_as_it_was(redis: Redis, engine: AsyncEngine) -> None:
    snapshotter = Snapshotter(redis, engine, keep=KEEP)
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world, playing(world, 6):
        await asyncio.sleep(1.5)
    await redis.hset(keys.agent("offline"), mapping={"chunk": "chunk-0", "here": "0", "seq": "9", "rec": "{}"})
    await snapshotter.look()
    before = await dumped(redis)
    await redis.flushall()
    rebuilt = await rebuild(redis, engine, RULES, over=False)
    after = await dumped(redis)
    assert essence(after) == essence(before)
    assert rebuilt.run_id == after.world["run"] != before.world["run"]
    assert after.agents["offline"]["rec"] == "{}"
    assert check(await read_dump(redis, list(after.agents))) == []
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world:
        walker = await player(world, "agent-0")
        assert await heard(walker)
        assert await whole(redis, list(after.agents)) == []
        # The next snapshots are the new run's, and facts go on above the old ones.
        await snapshotter.look()
        assert (await snapshots.newest(engine, rebuilt.run_id)) != []


async def test_looks_at_a_world_that_plays_always_give_a_whole_one(redis: Redis, engine: AsyncEngine) -> None:
    """Chunks are looked at one after the other while agents cross between them and new chunks are made."""
    snapshotter = Snapshotter(redis, engine, keep=KEEP)
    async with LocalWorld(redis, shards=3, rules=RULES, config=QUICK) as world, playing(world, 10):
        for _ in range(25):
            await snapshotter.look()
            run_id = (await dumped(redis)).world["run"]
            dump = fit(
                RunRecord(run_id, 1, {"shard_count": 3}),
                await snapshots.newest(engine, run_id),
                await snapshots.agents(engine),
                None,
            )
            assert check(checkable(dump)) == []
            assert len(dump.agents) == 10
            await asyncio.sleep(0.05)
        names = [f"agent-{number}" for number in range(10)]
    await redis.flushall()
    await rebuild(redis, engine, RULES, over=False)
    assert check(await read_dump(redis, names)) == []


async def test_the_world_comes_back_with_the_rules_it_was_made_with(redis: Redis, engine: AsyncEngine) -> None:
    made_with = Rules(demo=False, gold_nodes_min=9, gold_nodes_max=9)
    async with LocalWorld(redis, rules=made_with, config=QUICK) as world:
        await player(world, "w")
        await Snapshotter(redis, engine, keep=KEEP).look()
    before = await dumped(redis)
    await redis.flushall()
    rebuilt = await rebuild(redis, engine, RULES, over=False)
    after = await dumped(redis)
    assert rules_in(after.world) == made_with.of_world
    assert after.chunks["chunk-0"].fields["state"].count('"node_id"') == 9
    assert essence(after) == essence(before)
    assert rebuilt.rules_taken is None


async def test_a_run_of_an_older_version_takes_the_rules_that_are_set_and_says_so(
    redis: Redis, engine: AsyncEngine
) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        await player(world, "w")
        await redis.hdel(keys.WORLD, *WORLD_RULES)
        await Snapshotter(redis, engine, keep=KEEP).look()
    await redis.flushall()
    now = Rules(demo=False, gold_per_node_max=50)
    rebuilt = await rebuild(redis, engine, now, over=False)
    assert rules_in((await dumped(redis)).world) == rebuilt.rules_taken == now.of_world
    assert "5 to 50 units a node" in str(rebuilt)


def chunk_state(number: int, **links: str) -> ChunkState:
    fields = {"number": str(number), "entry": "", "pinned": "1" if number == 0 else "0", "shard": "0", **links}
    return ChunkState(f"chunk-{number}", 5, {"fields": fields, "last_id": "5-0", "last": ""})


def links(dump: WorldDump) -> dict[str, dict[str, str]]:
    sides = ("N", "E", "S", "W")
    return {id_: {s: c.fields[s] for s in sides if s in c.fields} for id_, c in dump.chunks.items()}


def test_links_between_snapshots_of_different_moments_are_mended() -> None:
    run = RunRecord("r", 1, {})
    chunks = [
        chunk_state(0, N="chunk-1", E="chunk-9", W="chunk-2"),  # chunk-9 was made after its snapshot was due
        chunk_state(1),  # of before it was linked
        chunk_state(2, E="chunk-0", W="chunk-3"),
        chunk_state(3, E="chunk-2", N="chunk-9"),
        chunk_state(7, S="chunk-8"),  # nobody leads here any more
        chunk_state(8, N="chunk-7"),
    ]
    dump = fit(run, chunks, [], None)
    assert links(dump) == {
        "chunk-0": {"N": "chunk-1", "W": "chunk-2"},
        "chunk-1": {"S": "chunk-0"},
        "chunk-2": {"E": "chunk-0", "W": "chunk-3"},
        "chunk-3": {"E": "chunk-2"},
    }
    assert dump.world["next_chunk"] == "4"


def test_an_agent_is_where_its_newest_record_says() -> None:
    def agent(id_: str, chunk_id: str, here: str) -> AgentState:
        return AgentState(id_, 1, {"chunk": chunk_id, "here": here, "rec": "{}", "seq": "1"})

    chunks = [chunk_state(0, N="chunk-1"), chunk_state(1, S="chunk-0")]
    states = [
        agent("a", "chunk-0", "1"),
        agent("b", "chunk-1", "1"),
        agent("c", "chunk-1", "0"),
        agent("d", "gone", "1"),
    ]
    dump = fit(RunRecord("r", 1, {"next_chunk": 40}), chunks, states, "17-3")
    assert {id_: chunk.members for id_, chunk in dump.chunks.items()} == {"chunk-0": ["a"], "chunk-1": ["b"]}
    assert set(dump.agents) == {"a", "b", "c", "d"}
    assert (dump.world["next_chunk"], dump.archived) == ("40", "17-3")


async def test_facts_after_it_have_ids_above_those_in_the_log(redis: Redis, engine: AsyncEngine) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        await player(world, "w")
        await Snapshotter(redis, engine, keep=KEEP).look()
    fact = orjson.dumps({"fact": "chat", "tick": 1, "chunk_id": "chunk-0", "agent_id": "w"})
    future = "9000000000000-7"  # a clock that was ahead by centuries
    await redis.xadd(keys.ARCHIVE_STREAM, {"m": fact}, id=future)
    await Archiver(redis, engine).drain()
    await redis.flushall()
    await rebuild(redis, engine, RULES, over=False)
    new_id = await redis.xadd(keys.ARCHIVE_STREAM, {"m": fact})
    assert new_id == b"9000000000000-8"
    await Archiver(redis, engine).drain()
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM event_logs WHERE entry_id = '9000000000000-8'")) == 1


async def test_a_world_that_is_there_is_not_overwritten(redis: Redis, engine: AsyncEngine) -> None:
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        await player(world, "w")
        await Snapshotter(redis, engine, keep=KEEP).look()
        before = await dumped(redis)
        with pytest.raises(WorldThere):
            await rebuild(redis, engine, RULES, over=False)
        assert (await dumped(redis)).world == before.world


async def test_nothing_to_rebuild(redis: Redis, engine: AsyncEngine) -> None:
    with pytest.raises(NothingToRebuild):
        await rebuild(redis, engine, RULES, over=False)
    await runs.begin(engine, "r", 1, {})
    await snapshots.put(engine, "r", [chunk_state(4)], [])
    with pytest.raises(NothingToRebuild):
        await rebuild(redis, engine, RULES, over=True)
    assert await redis.dbsize() == 0


async def test_up_brings_the_world_back_once(redis: Redis, engine: AsyncEngine, valkey_url: str) -> None:
    url = engine.url.render_as_string(hide_password=False)
    settings = Settings(environment="test", database_url=url, redis_url=valkey_url, demo=False)
    assert await bring_back(settings) is None
    async with LocalWorld(redis, rules=RULES, config=QUICK) as world:
        await player(world, "w")
        await Snapshotter(redis, engine, keep=KEEP).look()
    assert await bring_back(settings) is None
    await redis.flushall()
    rebuilt = await bring_back(settings)
    assert rebuilt is not None
    assert "1 chunks, 1 agents" in str(rebuilt)
    assert await bring_back(settings) is None
