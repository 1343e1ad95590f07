"""How far back a recording goes, when its ticks were, what of it can't be run: read from indexes, nothing is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import orjson

from recordings.names import SegmentName
from recordings.past_page import Gap
from recordings.track import Catalog, SegmentSpan, Track
from world.ids import shard_of

#: Segments opened for one answer, beside those that are known; the next answer knows so many more.
OPENED_MOST: Final = 64
POINTS_MOST: Final = 128
GAPS_MOST: Final = 100

Spans = list[tuple[SegmentName, SegmentSpan | None]]


@dataclass(slots=True)
class KeptPast:
    """What is kept of the past of the shard where a chunk begins its life; the shards' recordings are cut together."""

    #: The first tick that can be shown; None: nothing is recorded.
    first: int | None = None
    #: Where the recording ends.
    last: int | None = None
    #: Ticks with their Unix times (ms), rising; what lies between two is as far along as between their times.
    points: list[tuple[int, int]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    #: The tick from which on ``gaps`` are known.
    gaps_from: int = 0
    #: By how many shards it was found whose recording is the chunk's.
    shards: int = 1

    def pack(self) -> bytes:
        """Return it as JSON."""
        gaps = [[gap.first, gap.last, gap.reason] for gap in self.gaps]
        return orjson.dumps([self.first, self.last, self.points, gaps, self.gaps_from, self.shards])

    @classmethod
    def unpack(cls, data: bytes) -> KeptPast:
        """Read what ``pack`` wrote.  Raises ``ValueError``."""
        first, last, points, gaps, gaps_from, shards = orjson.loads(data)
        return cls(first, last, [(tick, ms) for tick, ms in points], [Gap(*gap) for gap in gaps], gaps_from, shards)


def read_kept(catalog: Catalog, chunk_id: str) -> KeptPast:
    """Return what is kept.  Raises ``OSError``: the place is away."""
    tracks = catalog.tracks()
    if not tracks:
        return KeptPast()
    shards = max(tracks) + 1
    likely = shard_of(chunk_id, shards)
    track = tracks[likely] if likely in tracks else tracks[min(tracks)]
    spans = _newest_spans(catalog, track)
    readable = [span for _, span in spans if span is not None]
    if not readable:
        return KeptPast(shards=shards)
    first = _first(catalog, track) or (readable[0].ticks[0], readable[0].ms[0])
    return KeptPast(
        first=first[0],
        last=readable[-1].ticks[1],
        points=_rising([first, *_thinned(readable)]),
        gaps=_gaps(spans)[-GAPS_MOST:],
        gaps_from=first[0] if len(spans) == len(track.names) else readable[0].ticks[0],
        shards=shards,
    )


def _first(catalog: Catalog, track: Track) -> tuple[int, int] | None:
    """Return the first tick that can be shown and its time.

    A segment that goes on from an earlier one begins with the state after its first tick, so it shows the next one.
    """
    for name in track.names[:OPENED_MOST]:
        found = catalog.beginning(name)
        if found is not None:
            return found.tick + (name.first != 0), found.ms
    return None


def _newest_spans(catalog: Catalog, track: Track) -> Spans:
    """Return the newest segments and what they span, oldest first: those that are known and ``OPENED_MOST`` more."""
    spans: Spans = []
    opened = 0
    for name in reversed(track.names):
        if not catalog.knows_span(name):
            if opened == OPENED_MOST:
                break
            opened += 1
        spans.append((name, catalog.span(name)))
    return spans[::-1]


def _thinned(spans: list[SegmentSpan]) -> list[tuple[int, int]]:
    """Return both ends of so many segments as there is room for, the last one's among them."""
    step = -(-len(spans) // (POINTS_MOST // 2))
    some = spans[::-1][::step][::-1]
    return [point for span in some for point in zip(span.ticks, span.ms, strict=True)]


def _rising(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the points without those that lie before an earlier one: a clock that was set back."""
    rising: list[tuple[int, int]] = []
    for tick, ms in points:
        if not rising or (tick > rising[-1][0] and ms >= rising[-1][1]):
            rising.append((tick, ms))
    return rising


def _gaps(spans: Spans) -> list[Gap]:
    """Return what lies between segments that do not follow each other, and what can't be run by these rules."""
    gaps: list[Gap] = []
    reached: int | None = None
    epoch, n = -1, -1
    for name, span in spans:
        if span is None:
            epoch = -1  # what comes next does not follow what was before
            continue
        (first, last), start = span.ticks, -1 if reached is None else reached
        follows = name.first == 0 or (name.epoch, name.first) == (epoch, n + 1)
        if reached is not None and not follows and first > reached + 1:
            gaps.append(Gap(reached + 1, first - 1, "missing"))
        if not span.runs_here and last > start:
            gaps.append(Gap(max(first, start + 1), last, "other_rules"))
        reached = max(last, start)
        epoch, n = name.epoch, span.last
    return gaps
