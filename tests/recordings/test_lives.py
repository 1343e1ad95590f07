"""Which segments count: those of the newest world, without what was undone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recordings.chunk_past import read_past
from recordings.entry import RecordedUpTo
from recordings.kept import read_kept
from recordings.lane import Given
from recordings.lives import Beginning, SegmentStart, by_shard, last_entries, of_newest_world
from recordings.names import SegmentName
from recordings.past import NoSuchMoment, Past
from recordings.places import Directory
from recordings.track import Catalog
from recordings.verify import verify
from tests.recordings.simulate import played, write


def name(shard: int, ms: int, epoch: int, first: int = 0) -> SegmentName:
    return SegmentName(shard, ms, epoch, first)


def beginning(previous: dict[SegmentName, tuple[int, int]] | None = None) -> Beginning:
    """Of segments of which these go on from an epoch's entry."""

    def of(one: SegmentName) -> SegmentStart:
        before = (previous or {}).get(one)
        return SegmentStart(0, one.began_ms, None if before is None else RecordedUpTo(*before, "chain"))

    return of


OLD = [name(0, 100, 1), name(0, 200, 1, 50), name(0, 300, 2), name(1, 101, 1), name(1, 302, 1, 9), name(2, 390, 1)]


@pytest.mark.parametrize(
    "new",
    [
        [name(0, 500, 1), name(0, 600, 1, 40), name(1, 501, 1)],
        [name(0, 500, 1), name(1, 900, 1), name(0, 1_500, 1, 40)],  # a shard that came later
        [name(0, 500, 1), name(1, 900, 2)],  # one that wrote nothing before it was started again
        [name(1, 500, 1), name(0, 505, 1)],
    ],
)
def test_the_newest_world_alone(new: list[SegmentName]) -> None:
    """Shards that it does not have are not there."""
    assert of_newest_world(by_shard([*OLD, *new]), beginning()) == by_shard(new)
    third = [name(0, 2_000, 1), name(2, 2_001, 1)]
    assert of_newest_world(by_shard([*OLD, *new, *third]), beginning()) == by_shard(third)


def test_one_world_is_whole() -> None:
    """Reloads, a world rebuilt from snapshots, and epochs that a Redis without its end counts again."""
    again = name(0, 500, 2)
    lanes = by_shard([*OLD, again, name(0, 600, 1_800_000_000), name(1, 601, 1_800_000_000)])
    assert of_newest_world(lanes, beginning({again: (1, 60)})) == lanes


def test_a_shard_that_redis_had_forgotten() -> None:
    """It begins anew, and what the others had before it stays."""
    goes_on = name(0, 510, 3)
    lanes = by_shard([*OLD, name(1, 500, 1), goes_on])
    kept = of_newest_world(lanes, beginning({goes_on: (2, 7)}))
    assert kept == {0: lanes[0], 1: [name(1, 500, 1)], 2: lanes[2]}


def test_entries_that_count() -> None:
    lives = [name(0, 1, 1), name(0, 2, 1, 50), name(0, 3, 2), name(0, 4, 2), name(0, 5, 3)]
    found = last_entries(lives, beginning({lives[2]: (1, 70), lives[3]: (1, 60), lives[4]: (2, 8)}))
    assert found == {lives[0]: 60, lives[1]: 60, lives[2]: -1, lives[3]: 8}


def recorded(directory: Path, given: list[Given], later_ms: int) -> Path:
    """These entries in a directory, so much later by the clock."""
    moved = []
    for one in given:
        ms, _, seq = one.id.partition("-")
        moved.append(replace(one, id=f"{int(ms) + later_ms}-{seq}"))
    return write(directory, moved)


def test_a_second_world_in_the_same_directory(tmp_path: Path) -> None:
    """An operator began anew and left the recordings: what is shown, and forks, are of the new world."""
    old, new = played(seed=6, shards=2, ticks=90), played(seed=9, shards=1, ticks=60)
    alone = recorded(tmp_path / "alone", new, 3_600_000)
    both = recorded(recorded(tmp_path / "both", old, 0), new, 3_600_000)
    catalogs = [Catalog(Directory(directory)) for directory in (alone, both)]
    assert read_past(catalogs[1], "chunk-0", 5, 80).pack() == read_past(catalogs[0], "chunk-0", 5, 80).pack()
    assert read_kept(catalogs[1], "chunk-0") == read_kept(catalogs[0], "chunk-0")
    pasts = [Past(Directory(directory)) for directory in (alone, both)]
    assert pasts[1].in_words == pasts[0].in_words
    assert pasts[1].moment(30).to_json() == pasts[0].moment(30).to_json()
    with pytest.raises(NoSuchMoment, match="don't reach"):
        pasts[1].moment(80)
    proof = verify(Directory(both))
    assert proof.same
    assert proof.entries == len(old) + len(new)
