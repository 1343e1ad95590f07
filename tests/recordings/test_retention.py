"""Which segments go."""

from __future__ import annotations

from recordings.names import SegmentName
from recordings.places import Kept
from recordings.retention import DAY_MS, to_remove


def kept(shard: int, day: float, size: int = 100, *, finished: bool = True) -> Kept:
    return Kept(SegmentName(shard, int(day * DAY_MS), 1, int(day * 10), finished), size)


def test_what_ended_too_long_ago_goes() -> None:
    """One that reaches into the time that is kept stays whole."""
    segments = [kept(0, 1), kept(0, 2), kept(0, 3), kept(1, 1), kept(1, 9)]
    going = to_remove(segments, now_ms=10 * DAY_MS, days=7, bytes_most=10**9)
    assert going == [kept(0, 1).name], "shard 0's of day 2 ended on day 3, and shard 1's of day 1 on day 9"


def test_the_oldest_go_first_whatever_shard_they_are_of() -> None:
    segments = [kept(0, 1), kept(0, 2), kept(1, 1.5), kept(1, 3), kept(0, 4, finished=False)]
    going = to_remove(segments, now_ms=5 * DAY_MS, days=100, bytes_most=250)
    assert going == [kept(0, 1).name, kept(1, 1.5).name, kept(0, 2).name]
    assert to_remove(segments, now_ms=5 * DAY_MS, days=100, bytes_most=500) == []


def test_what_is_being_written_stays() -> None:
    assert to_remove([kept(0, 1, finished=False)], now_ms=100 * DAY_MS, days=1, bytes_most=1) == []
