"""A moment of the past, out of the recordings of all shards: exact, and the start of another story."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from recordings.digests import chunk_digest
from recordings.entry import BadRecording
from recordings.lane import Given
from recordings.past import APART_S, NoSuchMoment, Past
from recordings.places import place_of
from recordings.replay import apply_entry, entries_of
from recordings.segment import Segment
from tests.recordings.simulate import SourcedCluster, SourcedWorld, given_by, given_of, played, write
from tests.world.play import PLAY_RULES, Script
from world.ids import AgentId, ChunkId, ServerCmdId
from world.inputs import Load, Submit
from world.records import AgentRecord
from world.shard import ShardWorld

TICKS = 150


@pytest.fixture(scope="module", params=[1, 3])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("past"), played(seed=6, shards=request.param, ticks=TICKS), segment_s=6)


def entries_after(directory: Path, shard: int, tick: int) -> list:  # type: ignore[type-arg]
    found = []
    for path in sorted(directory.glob(f"shard-{shard:03d}-*.ccrec")):
        with path.open("rb") as file:
            segment = Segment(file)
            for block in segment.blocks:
                found += [one for one in entries_of(segment.data(block)) if one.tick > tick]
    return found


@pytest.mark.parametrize("tick", [3, 60, 77, 131])
def test_the_original_inputs_give_the_original_states(directory: Path, tick: int) -> None:
    """Hash for hash: every digest that the original recorded after the moment."""
    moment = Past(place_of(str(directory))).moment(tick)
    compared = 0
    for number in moment.shards:
        world = moment.shard(number)
        for entry in entries_after(directory, number, tick):
            apply_entry(world, entry)
            for chunk_id, digest in entry.digests.items():
                if world.holds(ChunkId(chunk_id)):
                    assert chunk_digest(world, ChunkId(chunk_id)) == digest
                    compared += 1
    assert compared > 0


def test_other_inputs_give_another_story(directory: Path) -> None:
    moment = Past(place_of(str(directory))).moment(60)
    same, other = moment.world(), moment.world()
    assert states(same) == states(other)
    idle = next(one for one in sorted(other.agent_ids) if is_idle(other, one))
    other.apply(Submit(idle, ServerCmdId("s-other"), "other", {"type": "say", "text": "otherwise"}, "trace"))
    other.apply(Submit(idle, ServerCmdId("s-walk"), "walk", {"type": "move_to", "x": 25, "y": 25}, "trace"))
    for tick in range(61, 70):
        same.step(tick)
        other.step(tick)
    assert states(same) != states(other)


def states(world: ShardWorld) -> dict[str, list[str]]:
    return {one: chunk_digest(world, one) for one in sorted(world.chunk_ids)}


def is_idle(world: ShardWorld, agent_id: AgentId) -> bool:
    record = world.agent(agent_id)
    return record is not None and record.running is None


@pytest.mark.parametrize("shards", [1, 3])
def test_everybody_is_there_at_every_tick(shards: int, tmp_path: Path) -> None:
    """Each agent once and each chunk once, those too that are between two shards, with what they carry."""
    truth: dict[int, dict[str, int]] = {}

    class Watched(SourcedCluster):
        def run(self, ticks: int = 1, each: Callable[[], object] = lambda: None) -> None:
            truth[self.tick] = {one.agent_id: one.gold for one in everybody(self)}
            super().run(ticks, each)

    cluster = Watched(shards, PLAY_RULES, 6)
    script = Script(cluster, 6, hand_overs=shards > 1)
    for _ in range(100):
        script.turn()
    past = Past(place_of(str(write(tmp_path, list(given_of(cluster)), segment_s=6))))
    for tick in range(40, 100):
        world = past.moment(tick).world()
        assert world.tick == tick
        assert {one.agent_id: one.gold for chunk in world.chunk_ids for one in world.agents(chunk)} == truth[tick], tick


def everybody(cluster: SourcedCluster) -> list[AgentRecord]:
    standing = [one for world in cluster.shards for chunk in world.chunk_ids for one in world.agents(chunk)]
    return [*standing, *(one.record for one in cluster.travelling)]


def test_what_is_not_reached_is_said(directory: Path, tmp_path: Path) -> None:
    past = Past(place_of(str(directory)))
    assert past.last_tick == TICKS
    with pytest.raises(NoSuchMoment, match=r"don't reach tick 151: they go from tick \d+ \(.*Z\) to 150 \(.*Z\)"):
        past.moment(TICKS + 1)
    with pytest.raises(NoSuchMoment, match="don't reach that time"):
        past.tick_at(5)
    with pytest.raises(NoSuchMoment, match="no recording"):
        Past(place_of(str(tmp_path)))


@pytest.fixture(scope="module")
def three_shards() -> list[Given]:
    return played(seed=6, shards=3, ticks=TICKS)


def end_of(path: Path) -> int:
    with path.open("rb") as file:
        return Segment(file).blocks[-1].ticks[1]


def test_shards_that_are_being_written_are_not_of_one_moment(three_shards: list[Given], tmp_path: Path) -> None:
    """One was written just now, another not since the recorder's last round."""
    last = max(write(tmp_path, three_shards, segment_s=6).glob("shard-001-*.ccrec"))
    last.rename(last.with_suffix(".part"))
    assert Past(place_of(str(tmp_path))).last_tick == TICKS - APART_S * PLAY_RULES.tick_hz


def test_whole_segments_of_a_world_that_goes_on(
    three_shards: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a URL or in a backup a shard may end a segment before another: no moment joins the two."""
    rested = [one for one in three_shards if one.shard != 2 or one.ms <= 1_000_000 + 100 * 200]
    write(tmp_path, rested, segment_s=6)
    of_shard = sorted(tmp_path.glob("shard-000-*.ccrec"))
    assert end_of(of_shard[-1]) == TICKS
    of_shard[-1].unlink()
    ends = [end_of(max(tmp_path.glob(f"shard-{shard:03d}-*.ccrec"))) for shard in range(3)]
    assert ends[2] < ends[0] < ends[1]
    past = Past(place_of(str(tmp_path)))
    assert past.last_tick == ends[2]
    with pytest.raises(NoSuchMoment, match="don't reach"):
        past.moment(ends[2] + 1)
    monkeypatch.setattr("recordings.past.SEGMENT_MS", 0)
    assert past.last_tick == ends[0], "the third is at rest"


def test_a_shard_at_rest_ends_earlier_where_all_ended(three_shards: list[Given], tmp_path: Path) -> None:
    rested = [one for one in three_shards if one.shard != 2 or one.ms <= 1_000_000 + 100 * 200]
    assert Past(place_of(str(write(tmp_path, rested, segment_s=6)))).last_tick == TICKS


def test_a_time_is_a_tick(directory: Path) -> None:
    """A tick of the play is 200 ms."""
    past = Past(place_of(str(directory)))
    assert abs(past.tick_at(1_000_000 + 60 * 200) - 60) <= 1


def test_what_was_undone_is_not_run(tmp_path: Path) -> None:
    """Redis came back without its end: until the next life begins the world is as that entry left it."""
    directory = write(tmp_path, played(seed=6, shards=1, ticks=120), segment_s=6)
    entries = entries_after(directory, 0, -1)
    kept = next(one for one, after in pairwise(entries) if 70 < one.tick < after.tick)
    there = Past(place_of(str(directory))).moment(kept.tick)
    later = SourcedWorld(there.rules, there.seed, 0, epoch=2, previous=f"1 {kept.n} {kept.chain}")
    world = there.shard(0)
    for chunk_id in world.chunk_ids:
        later.apply(Load(world.chunk(chunk_id), world.agents(chunk_id)))
    for tick in range(110, 140):
        later.step(tick)
        later.take()
    write(directory, [replace(one, id=f"9{one.id}") for one in given_by([later])])
    past = Past(place_of(str(directory)))
    for tick in (kept.tick, kept.tick + 3, 109):
        assert past.moment(tick).shards == there.shards, tick
    assert past.moment(120).shard(0).tick == 120


def test_what_is_missing_is_not_run_over(directory: Path) -> None:
    paths = sorted(directory.glob("shard-000-*.ccrec"))
    hidden = paths[1].rename(paths[1].with_suffix(".away"))
    try:
        with hidden.open("rb") as file:
            tick = Segment(file).blocks[0].ticks[0] + 3
        with pytest.raises(NoSuchMoment, match="entries are missing"):
            Past(place_of(str(directory))).moment(tick)
    finally:
        hidden.rename(paths[1])


def test_another_version_of_the_rules_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recordings.entry.RULES_VERSION", 99)
    with pytest.raises(NoSuchMoment, match="version 1 of the rules, this release has version 99"):
        Past(place_of(str(directory)))


def test_damage_is_not_run_over(directory: Path) -> None:
    path = sorted(directory.glob("shard-000-*.ccrec"))[0]
    whole = path.read_bytes()
    data = bytearray(whole)
    with path.open("rb") as file:
        block = Segment(file).blocks[0]
    data[block.at + 400 + block.length // 2] ^= 4
    path.write_bytes(data)
    try:
        with pytest.raises((NoSuchMoment, BadRecording)):
            Past(place_of(str(directory))).moment(block.ticks[1])
    finally:
        path.write_bytes(whole)
