"""One shard's recording from a tick on: over its segments and lives, without what was undone, holes named.

A life that began anew from an earlier commit (Redis came back without its end) names the last entry that counts; what
the life before has beyond it never happened, and is left out here.  So are worlds before the newest one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from recordings.entry import BadRecording, Entry
from recordings.lives import SegmentStart, by_shard, last_entries, of_newest_world, start_of
from recordings.names import SegmentName
from recordings.past_page import Gap, Reason
from recordings.places import OpensSegments
from recordings.replay import apply_entry, begin, entries_of, seek
from recordings.segment import BlockHead, Segment
from world.ids import shard_of
from world.outputs import Output
from world.shard import ShardWorld

#: Segments of which beginning and span are remembered, a week of 16 shards; and chunks whose shards are.
KNOWN_MOST: Final = 16_384

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Begun:
    """A shard's world from which the run goes on: the first, one after a hole, or the empty one of another life.

    ``gap``: what lies between it and what came before.
    """

    world: ShardWorld
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class Unrunnable:
    """Nothing can be run up to the end of what is there."""

    gap: Gap


@dataclass(frozen=True, slots=True)
class Stepped:
    """An entry was applied."""

    world: ShardWorld
    tick: int
    output: Output
    block: BlockHead
    #: Chunks that went to other shards, before or after what came out.
    dropped: frozenset[str]

    def ms_of(self, tick: int) -> int:
        """Return about when a tick was committed: Unix time, between those that its block names."""
        return between(tick, self.block.ticks, self.block.ms)


@dataclass(frozen=True, slots=True)
class SegmentSpan:
    """What a segment spans: ticks and Unix times (ms) of its ends, and the number of its last entry."""

    ticks: tuple[int, int]
    ms: tuple[int, int]
    last: int
    #: Whether these rules can run it.
    runs_here: bool


class Catalog:
    """The segments of a place; remembers beginnings and spans of those that it has opened.

    What could not be read is not remembered: a file that is being copied may be there in part, under its final name.
    """

    def __init__(self, place: OpensSegments) -> None:
        self.place = place
        self._beginnings: OrderedDict[SegmentName, SegmentStart] = OrderedDict()
        self._spans: OrderedDict[SegmentName, SegmentSpan | None] = OrderedDict()
        self._homes: OrderedDict[str, int] = OrderedDict()

    def order_for(self, chunk_id: str, shards: Collection[int]) -> list[int]:
        """Return the shards in the order in which a chunk is to be looked for: first where it was found last."""
        likely = self._homes.get(chunk_id)
        if likely is None:
            likely = shard_of(chunk_id, max(shards, default=0) + 1)
        return sorted(shards, key=lambda shard: (shard != likely, shard))

    def found_in(self, chunk_id: str, shard: int) -> None:
        """Note where a chunk was; the next question about it is likely to be about a time near by."""
        _remember(self._homes, chunk_id, shard)

    def knows_span(self, name: SegmentName) -> bool:
        """Return whether ``span`` needs not open the segment."""
        return name in self._spans

    def span(self, name: SegmentName) -> SegmentSpan | None:
        """Return what a segment spans; None: it can't be read, or nothing is in it yet.  Raises ``OSError``."""
        if name not in self._spans:
            return self._read(name)[1]
        self._spans.move_to_end(name)
        return self._spans[name]

    def tracks(self) -> dict[int, Track]:
        """Return the recording of each shard of the newest world, as it is now.  Raises ``OSError``."""
        names = by_shard(kept.name for kept in self.place.segments())
        return {shard: Track(self, found) for shard, found in of_newest_world(names, self.beginning).items()}

    def beginning(self, name: SegmentName) -> SegmentStart | None:
        """Return where a segment begins; None: it can't be read, or nothing is in it yet.  Raises ``OSError``."""
        if name not in self._beginnings:
            return self._read(name)[0]
        self._beginnings.move_to_end(name)
        return self._beginnings[name]

    def _read(self, name: SegmentName) -> tuple[SegmentStart | None, SegmentSpan | None]:
        """Open a segment, and remember what of it will not change."""
        try:
            with self.place.open(name) as file:
                segment = Segment(file)
        except (BadRecording, FileNotFoundError):
            return None, None
        start = start_of(segment)
        span = _span_of(segment) if segment.blocks else None
        if start is not None:  # else its first block may come any moment
            _remember(self._beginnings, name, start)
        if segment.finished:  # one without its index grows
            _remember(self._spans, name, span)
        return start, span


def _span_of(segment: Segment) -> SegmentSpan:
    first, last = segment.blocks[0], segment.blocks[-1]
    runs_here = segment.head.header.why_not_here() is None
    return SegmentSpan((first.ticks[0], last.ticks[1]), (first.ms[0], last.ms[1]), last.entries[1], runs_here)


def _remember(known: OrderedDict[K, T], name: K, found: T) -> None:
    known[name] = found
    known.move_to_end(name)
    while len(known) > KNOWN_MOST:
        known.popitem(last=False)


class Track:
    """The recording of one shard: ``names`` are its segments in the order in which they were written."""

    def __init__(self, catalog: Catalog, names: list[SegmentName]) -> None:
        self._catalog = catalog
        self._last = last_entries(names, catalog.beginning)
        self._names = [name for name in names if name.first <= self._last.get(name, name.first)]

    @property
    def names(self) -> list[SegmentName]:
        """Its segments, as far as they count."""
        return self._names

    def run(self, before: int) -> Iterator[Begun | Stepped | Unrunnable]:
        """Yield the world at the tick ``before``, then each entry after it; holes on the way begin anew.

        What is yielded holds for that turn only: the world goes on.

        Raises:
            OSError: the place is away.
        """
        reached = seen = before
        world: ShardWorld | None = None
        epoch, n = -1, -1
        reason: Reason = "before_first"
        for name in self._names[max(0, self._at(before)) :]:
            try:
                with self._catalog.place.open(name) as file:
                    segment = Segment(file)
                    header, last = segment.head.header, self._last.get(name)
                    seen = max(seen, segment.blocks[-1].ticks[1])
                    if header.why_not_here() is not None:
                        world, reason = None, "other_rules"
                        continue
                    if world is not None and name.first == 0:
                        world, epoch, n = begin(header), name.epoch, -1
                        yield Begun(world, None)
                    elif world is None or name.epoch != epoch or name.first != n + 1:
                        if world is not None:
                            reason = "missing"
                        at = max(reached, segment.blocks[0].ticks[0] - (name.first == 0))
                        world, n = seek(segment, at, last)
                        epoch = name.epoch
                        whole = at == before or (name.first == 0 and not header.previous)
                        gap = None if whole or at <= reached else Gap(reached + 1, at, reason)
                        yield Begun(world, gap)
                        reached = at
                    for block in segment.blocks:
                        if block.entries[1] <= n:
                            continue
                        for entry in entries_of(segment.data(block)):
                            if entry.n <= n or (last is not None and entry.n > last):
                                continue
                            output = apply_entry(world, entry)
                            n, reached = entry.n, max(reached, entry.tick)
                            yield Stepped(world, entry.tick, output, block, _dropped(entry))
            except FileNotFoundError:
                world, reason = None, "missing"
            except OSError:
                raise
            except Exception:  # what is damaged, or was made by somebody else, may raise anything in the rules
                world, reason = None, "missing"
        if world is None and seen > reached:
            yield Unrunnable(Gap(reached + 1, seen, reason))

    def _at(self, tick: int) -> int:
        """Return the index of the last segment that begins at or before ``tick``; -1: there is none.

        One that can't be read, or in which nothing is yet, is taken for a part of the one before it, and is returned
        only where that one ends before ``tick``.
        """

        def readable(at: int) -> int:
            return next((one for one in range(at, -1, -1) if self._catalog.beginning(self._names[one])), -1)

        def first_tick(at: int) -> int:
            found = self._catalog.beginning(self._names[known]) if (known := readable(at)) >= 0 else None
            return -1 if found is None else found.tick

        at = bisect_right(range(len(self._names)), tick, key=first_tick) - 1
        before = readable(at)
        if before in (at, -1):
            return at
        span = self._catalog.span(self._names[before])
        return before if span is not None and span.ticks[1] >= tick else at

    def last_ms(self) -> int:
        """Return when its last entry was committed (Unix time, ms); 0: not known.  Raises ``OSError``."""
        spans = (self._catalog.span(name) for name in reversed(self._names))
        return next((span.ms[1] for span in spans if span is not None), 0)

    def tick_at(self, ms: int) -> int | None:
        """Return about which tick it was at a Unix time (ms); None: nothing that old is kept.

        In a segment that can't be read it is the last tick of those before: there the hole begins.

        Raises:
            OSError: the place is away.
        """
        began_before = bisect_right(self._names, ms, key=lambda name: name.began_ms)
        for name in reversed(self._names[:began_before]):
            try:
                with self._catalog.place.open(name) as file:
                    blocks = Segment(file).blocks
            except (BadRecording, FileNotFoundError):
                continue
            if blocks and blocks[0].ms[0] <= ms:
                return _tick_in(blocks, ms)
        return None


def _tick_in(blocks: list[BlockHead], ms: int) -> int:
    """Return about which tick it was at a time (ms) that is not before the first of these blocks."""
    began = [block for block in blocks if block.ms[0] <= ms]
    block, later = began[-1], blocks[len(began) : len(began) + 1]
    if ms > block.ms[1] and later:
        return between(ms, (block.ms[1], later[0].ms[0]), (block.ticks[1], later[0].ticks[0]))
    return between(ms, block.ms, block.ticks)


def _dropped(entry: Entry) -> frozenset[str]:
    return frozenset(fields["chunk_id"] for kind, fields in entry.done if kind == "Drop")


def between(one: int, ends: tuple[int, int], others: tuple[int, int]) -> int:
    """Return what lies between ``others`` as ``one`` does between ``ends``."""
    (first, last), (low, high) = ends, others
    if last <= first:
        return high
    return low + (high - low) * (min(max(one, first), last) - first) // (last - first)
