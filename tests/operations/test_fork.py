"""A fork's directory and the world that comes of it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis

from config.settings import Settings
from operations.fork import (
    FORK_FILE,
    ForkRefused,
    begin_fork,
    make_fork,
    part_of,
    read_fork,
    settings_for,
    world_of,
)
from operations.fsck import check
from operations.world_dump import WorldDump, checkable, read_world
from recordings.digests import chunk_digest
from recordings.past import Past, freeze
from recordings.places import SegmentPlace, place_of
from recordings.verify import verify
from streaming import keys
from tests.recordings.simulate import SourcedWorld, given_by, played, write
from world.dice import Dice
from world.genesis import new_chunk
from world.ids import HALL, ServerCmdId, Tick
from world.inputs import Load, Submit
from world.moment import Moment
from world.records import AgentRecord, ChunkRecord
from world.rules import Rules
from world.shard import ShardWorld

AT = 99


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> SegmentPlace:
    return place_of(str(write(tmp_path_factory.mktemp("recordings"), played(seed=6, shards=3, ticks=AT + 20))))


@pytest.fixture(scope="module")
def moment(place: SegmentPlace) -> Moment:
    return Past(place).moment(AT)


def start(moment: Moment, dump: WorldDump) -> SourcedWorld:
    """A shard that has loaded the whole world, as the first start does."""
    world = SourcedWorld(moment.rules, moment.seed, 0)
    for chunk in dump.chunks.values():
        standing = [AgentRecord.from_json(orjson.loads(dump.agents[one]["rec"])) for one in chunk.members]
        world.apply(Load(ChunkRecord.from_json(orjson.loads(chunk.fields["state"])), standing))
    world.take()
    return world


def test_the_directory_is_whole_and_private(moment: Moment, tmp_path: Path) -> None:
    made = make_fork(moment, tmp_path / "new" / "fork")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fork"]
    path = tmp_path / "new" / "fork" / FORK_FILE
    assert path.stat().st_mode & 0o077 == 0
    again = read_fork(path)
    assert again.to_json() == moment.to_json()
    assert (made.tick, made.chunks) == (AT, len(moment.chunk_ids))
    world = moment.world()
    assert made.agents == world.population
    for chunk_id in world.chunk_ids:
        assert chunk_digest(again.world(), chunk_id) == chunk_digest(world, chunk_id)


def test_nothing_is_left_of_one_that_fails(moment: Moment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("operations.fork._write", fails)
    with pytest.raises(OSError, match="No space"):
        make_fork(moment, tmp_path / "fork")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(moment: Moment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(ForkRefused, match="holds something already"):
            make_fork(moment, place)
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    make_fork(moment, tmp_path / "empty")


def test_a_start_goes_on_from_the_moment(moment: Moment) -> None:
    """Same ground, chunks, agents, places and commands; the next tick is the one after the moment."""
    now_ms = 1_800_000_000_000
    dump = world_of(moment, moment.rules, run_id="run_1", shards=2, now_ms=now_ms)
    assert dump.world["seed"] == str(moment.seed)
    assert {shard["tick"] for shard in dump.shards.values()} == {str(AT)}
    assert (now_ms - int(dump.world["epoch_ms"])) * moment.rules.tick_hz // 1000 == AT
    before, started = moment.world(), start(moment, dump)
    assert started.tick == AT
    assert sorted(started.chunk_ids) == sorted(before.chunk_ids)
    for chunk_id in before.chunk_ids:
        was, now = chunk_digest(before, chunk_id), chunk_digest(started, chunk_id)
        assert was[1:3] == now[1:3], "nodes and creatures"
        assert [shown(one) for one in before.agents(chunk_id)] == [shown(one) for one in started.agents(chunk_id)]


def test_every_moment_makes_a_world(place: SegmentPlace) -> None:
    """Whatever is between shards at it."""
    past = Past(place)
    for tick in range(20, AT, 6):
        moment = past.moment(tick)
        dump = world_of(moment, moment.rules, run_id="run_1", shards=2, now_ms=1)
        assert set(dump.agents) == set(moment.world().agent_ids)


def test_another_story_verifies_as_the_original_does(place: SegmentPlace, moment: Moment, tmp_path: Path) -> None:
    fork = start(moment, world_of(moment, moment.rules, run_id="run_1", shards=1, now_ms=1))
    alone = start(moment, world_of(moment, moment.rules, run_id="run_1", shards=1, now_ms=1))
    for tick in range(AT + 1, AT + 60):
        for agent_id in sorted(fork.agent_ids):
            dice = Dice("fork", tick, agent_id)
            where = {"type": "move_to", "x": dice.below(50), "y": dice.below(50)}
            fork.apply(Submit(agent_id, ServerCmdId(f"f{tick}"), f"f{tick}", where, "trace"))
        for world in (fork, alone):
            world.step(tick)
            world.take()
    assert [shown(one) for one in fork.agents(HALL)] != [shown(one) for one in alone.agents(HALL)]
    told = verify(place_of(str(write(tmp_path, list(given_by([fork]))))))
    original = verify(place)
    assert told.same, told.findings
    assert original.same, original.findings
    assert told.digests > 0
    assert told.ticks >= 59


def shown(record: AgentRecord) -> tuple[object, ...]:
    running = record.running
    return record.agent_id, record.x, record.y, record.gold, None if running is None else running.server_cmd_id


def test_some_chunks_alone(moment: Moment) -> None:
    hall = part_of(moment, [HALL])
    assert hall.chunk_ids == [HALL]
    dump = world_of(hall, hall.rules, run_id="run_1", shards=1, now_ms=1)
    assert list(dump.chunks) == [HALL]
    assert {agent["chunk"] for agent in dump.agents.values()} == {HALL}
    with pytest.raises(ForkRefused, match="there was no chunk-999"):
        part_of(moment, ["chunk-999"])


def test_a_chunk_without_a_way_to_it() -> None:
    world = ShardWorld(Rules(), 1, 0)
    for number in (0, 5):
        world.apply(Load(new_chunk(1, number, None, Rules()), []))
    moment = Moment(1, Rules(), Tick(0), {0: freeze(world)})
    with pytest.raises(ForkRefused, match=f"no way leads from {HALL} to chunk-5: name the chunks between"):
        part_of(moment, ["chunk-5"])


@pytest.mark.parametrize("data", [b"", b"no gzip", b"\x1f\x8b\x08\x00"])
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FORK_FILE).write_bytes(data)
    with pytest.raises(ForkRefused, match="can't be read"):
        read_fork(tmp_path / FORK_FILE)


def test_an_empty_world_is_refused() -> None:
    with pytest.raises(ForkRefused, match="choose another moment"):
        world_of(Moment(1, Rules(), Tick(5), {}), Rules(), run_id="run_1", shards=1, now_ms=1)


def test_the_settings_to_start_with() -> None:
    assert settings_for(Rules()) == []
    assert settings_for(Rules(regen_ticks=7)) == ["CHUNKCRAWL_REGEN_TICKS=7"]


async def test_a_start_writes_it_once(
    redis: Redis, valkey_url: str, fresh_postgres_url: str, moment: Moment, tmp_path: Path
) -> None:
    """Where there is no world: all of it, with everybody staying; afterwards the world that is there."""
    make_fork(moment, tmp_path / "fork")
    settings = Settings(
        environment="test",
        redis_url=valkey_url,
        database_url=fresh_postgres_url,
        data_dir=str(tmp_path / "fork"),
        shards=2,
        demo=False,
    )
    made = await begin_fork(settings)
    assert made is not None
    assert made.tick == AT
    world = await read_world(redis)
    assert world is not None
    assert check(checkable(world)) == []
    assert set(world.agents) == set(moment.world().agent_ids)
    assert world.tick == AT
    now = (await redis.time())[0]
    assert set(await redis.zrange(keys.PRESENCE, (now + 86_400) * 1000, "+inf", byscore=True)) == {
        agent_id.encode() for agent_id in world.agents
    }
    assert await begin_fork(settings) is None
    assert (await read_world(redis)) == world


async def test_no_fork_is_nothing_to_do(valkey_url: str, fresh_postgres_url: str, tmp_path: Path) -> None:
    settings = Settings(
        environment="test", redis_url=valkey_url, database_url=fresh_postgres_url, data_dir=str(tmp_path)
    )
    assert await begin_fork(settings) is None
