"""What counts of the segments that lie in a place: of the newest world there alone, and without what was undone.

Whoever begins anew with an empty Redis may leave the recordings where they are.  The new world's ticks and epochs
begin at the bottom again, so its segments are told from the old one's by their names: the epochs of a shard only rise
in a world.  Where they fall, a life begins a world if it names none before it; one that does goes on from there, in a
Redis that came back without its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from recordings.entry import RecordedUpTo
from recordings.names import SegmentName
from recordings.segment import Segment

#: Names by shard, in the order in which they were written.
Names = Mapping[int, Sequence[SegmentName]]


@dataclass(frozen=True, slots=True)
class SegmentStart:
    """Where a segment begins."""

    tick: int
    ms: int
    #: Of its life: the last entry of the lives before that counts.
    previous: RecordedUpTo | None


#: Returns where a segment begins; None: it can't be read, or nothing is in it yet.
Beginning = Callable[[SegmentName], SegmentStart | None]


def start_of(segment: Segment) -> SegmentStart | None:
    """Return where a segment begins; None: nothing is in it yet."""
    if not segment.blocks:
        return None
    head = segment.head
    return SegmentStart(segment.blocks[0].ticks[0], head.began_ms, RecordedUpTo.read(head.header.previous))


def by_shard(names: Iterable[SegmentName]) -> dict[int, list[SegmentName]]:
    """Return names by shard, in the order in which they were written.

    One that was finished while a place was listed may be there under both names: the later one counts.
    """
    known = {(name.shard, name.began_ms, name.epoch, name.first): name for name in sorted(names)}
    found: dict[int, list[SegmentName]] = {}
    for name in known.values():
        found.setdefault(name.shard, []).append(name)
    return found


def of_newest_world(lanes: Names, beginning: Beginning) -> dict[int, list[SegmentName]]:
    """Return the segments of the newest world; shards that are in older ones alone are left out.

    ``beginning`` is asked for a segment only where its name says that it may begin a world.
    """
    begun = {shard: found for shard, names in lanes.items() if (found := _newest_beginning(names, beginning))}
    own = {shard: list(names[begun.get(shard, 0) :]) for shard, names in lanes.items()}
    if not begun:
        return own
    # Where epochs fall from one segment to the next, a world began between the two: the newest after each shard's old
    # one, and with the first shard that shows it.  A shard may come much later, or not at all.
    old_ms = max(lanes[shard][at - 1].began_ms for shard, at in begun.items())
    world_ms = min(ms for shard, at in begun.items() if (ms := lanes[shard][at].began_ms) > old_ms)
    since = {shard: [name for name in names if name.began_ms >= world_ms] for shard, names in own.items()}
    if any(_goes_on(own[shard], names, beginning) for shard, names in since.items()):
        return own  # Redis came back from before those shards had begun
    return {shard: names for shard, names in since.items() if names}


def _newest_beginning(names: Sequence[SegmentName], beginning: Beginning) -> int:
    """Return the index of the segment that begins the shard's newest world; 0: no other is before it."""
    for at in range(len(names) - 1, 0, -1):
        name, before = names[at], names[at - 1]
        if name.first == 0 and name.epoch <= before.epoch:
            found = beginning(name)
            if found is None or found.previous is None:
                return at
    return 0


def _goes_on(names: Sequence[SegmentName], since: Sequence[SegmentName], beginning: Beginning) -> bool:
    """Return whether a shard's later segments go on from its earlier ones."""
    if not since or len(since) == len(names):
        return False
    before, after = names[-len(since) - 1], since[0]
    if after.first > 0:
        return after.epoch == before.epoch
    found = beginning(after)
    return found is not None and found.previous is not None


def last_entries(names: Sequence[SegmentName], beginning: Beginning) -> dict[SegmentName, int]:
    """Return, of each segment whose life another one followed, the number of its life's last entry that counts.

    -1: none does.  ``names``: of one shard, of one world, in the order in which they were written.
    """
    lives = _lives(names)
    last: dict[int, int] = {}
    for after in range(len(lives) - 1, 0, -1):
        if last.get(after) == -1:
            continue  # undone itself
        found = beginning(lives[after][0])
        previous = None if found is None else found.previous
        if previous is None:
            continue
        went_on = [at for at in range(after) if lives[at][0].epoch <= previous.epoch]
        at = went_on[-1] if went_on else -1
        if at >= 0 and lives[at][0].epoch == previous.epoch:
            last[at] = min(previous.n, last.get(at, previous.n))
        last |= dict.fromkeys(range(at + 1, after), -1)
    return {name: last[at] for at, life in enumerate(lives) if at in last for name in life}


def _lives(names: Sequence[SegmentName]) -> list[list[SegmentName]]:
    lives: list[list[SegmentName]] = []
    for name in names:
        if not lives or name.first == 0 or name.epoch != lives[-1][-1].epoch:
            lives.append([])
        lives[-1].append(name)
    return lives
