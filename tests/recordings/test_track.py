"""A shard's recording over its lives."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from recordings.names import read_name
from recordings.places import Directory
from recordings.replay import entries_of
from recordings.segment import Segment
from recordings.track import Catalog, Stepped, between
from tests.recordings.simulate import PACE, SourcedCluster, SourcedWorld, given_of, played, write
from tests.world.play import PLAY_RULES, Script


def test_what_was_undone_is_not_shown(tmp_path: Path) -> None:
    """A life that goes on from an earlier entry: what the one before has beyond it never happened."""
    first = write(tmp_path / "one", played(seed=6, shards=1, ticks=120))
    with min(first.glob("*.ccrec")).open("rb") as file:
        segment = Segment(file)
        entries = [entry for block in segment.blocks for entry in entries_of(segment.data(block))]
    kept = entries[len(entries) // 2]

    class Second(SourcedCluster):
        def make_shard(self, number: int) -> SourcedWorld:
            previous = f"1 {kept.n} {kept.chain}"
            return SourcedWorld(self.rules, self.seed, number, pace=PACE, epoch=2, previous=previous)

    cluster = Second(1, PLAY_RULES, 9)
    script = Script(cluster, 9, hand_overs=False)
    for _ in range(30):
        script.turn()
    given = [replace(one, id=f"9{one.id}") for one in given_of(cluster)]  # later by the clock
    for path in write(tmp_path / "two", given).glob("*.ccrec"):
        shutil.copy(path, first / path.name)
    steps = [step.tick for step in Catalog(Directory(first)).tracks()[0].run(-1) if isinstance(step, Stepped)]
    assert steps[: kept.n + 1][-1] == kept.tick
    assert len(steps) == kept.n + 1 + len(given)


def test_between() -> None:
    assert between(15, (10, 20), (100, 200)) == 150
    assert between(5, (10, 20), (100, 200)) == 100
    assert between(25, (10, 20), (100, 200)) == 200
    assert between(10, (10, 10), (100, 200)) == 200


def test_when_its_last_entry_was(tmp_path: Path) -> None:
    track = Catalog(Directory(write(tmp_path, played(seed=6, shards=1, ticks=30)))).tracks()[0]
    assert 1_000_000 + 29 * 200 <= track.last_ms() <= 1_000_000 + 31 * 200


def test_what_was_there_in_part_is_read_again(tmp_path: Path) -> None:
    """A place that shows files while they are copied to it."""
    [path] = write(tmp_path, played(seed=6, shards=1, ticks=30), flush_every=10).glob("*.ccrec")
    name, whole = read_name(path.name), path.read_bytes()
    assert name is not None
    path.unlink()
    place = Directory(tmp_path)
    catalog = Catalog(place)
    for size in (None, 20, len(whole) // 2, len(whole)):
        if size is not None:
            path.write_bytes(whole[:size])
        fresh = Catalog(place)
        assert catalog.span(name) == fresh.span(name), size
        assert catalog.beginning(name) == fresh.beginning(name), size
        assert catalog.knows_span(name) == (size == len(whole))
    assert catalog.span(name) is not None
    assert catalog.beginning(name) is not None
