"""A fork's directory and the world that comes of it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from operations.fork import FORK_FILE, ForkRefused, make_fork, part_of, read_fork, settings_for, world_of
from recordings.digests import chunk_digest
from recordings.past import Past, freeze
from recordings.places import place_of
from tests.recordings.simulate import played, write
from world.genesis import new_chunk
from world.ids import HALL, ChunkId, Tick
from world.inputs import Load
from world.moment import Moment
from world.records import AgentRecord, ChunkRecord
from world.rules import Rules
from world.shard import ShardWorld

AT = 99


@pytest.fixture(scope="module")
def moment(tmp_path_factory: pytest.TempPathFactory) -> Moment:
    place = write(tmp_path_factory.mktemp("recordings"), played(seed=6, shards=3, ticks=AT + 20))
    return Past(place_of(str(place))).moment(AT)


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
    before = moment.world()
    for chunk_id, chunk in dump.chunks.items():
        name = ChunkId(chunk_id)
        started = ShardWorld(moment.rules, moment.seed, 0)
        standing = [AgentRecord.from_json(orjson.loads(dump.agents[one]["rec"])) for one in chunk.members]
        started.apply(Load(ChunkRecord.from_json(orjson.loads(chunk.fields["state"])), standing))
        was, is_ = chunk_digest(before, name), chunk_digest(started, name)
        assert was[1:3] == is_[1:3], "nodes and creatures"
        assert [shown(one) for one in before.agents(name)] == [shown(one) for one in started.agents(name)]
        assert started.tick == AT


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
        world_of(part_of(moment, ["chunk-5"]), Rules(), run_id="run_1", shards=1, now_ms=1)


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
