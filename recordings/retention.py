"""Which segments are too old or too many: the oldest go first, whatever shard they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from recordings.names import SegmentName
from recordings.places import Kept

DAY_MS: Final = 86_400_000


def to_remove(kept: Sequence[Kept], *, now_ms: int, days: float, bytes_most: int) -> list[SegmentName]:
    """Return the finished segments that go, oldest first.

    A segment is as old as the beginning of the next of its shard, so that what is younger than ``days`` stays whole;
    those under way count for the size and stay.
    """
    ordered = sorted(kept, key=lambda one: one.name.began_ms)
    ends: dict[SegmentName, int] = {}
    following: dict[int, int] = {}
    for one in reversed(ordered):
        ends[one.name] = following.get(one.name.shard, now_ms)
        following[one.name.shard] = one.name.began_ms
    room = bytes_most - sum(one.size for one in ordered)
    going = []
    for one in ordered:
        if not one.name.finished:
            continue
        if room < 0 or ends[one.name] < now_ms - days * DAY_MS:
            going.append(one.name)
            room += one.size
    return going
