"""What a time line of a chunk is drawn from: ``GET /v1/chunks/{chunk_id}/timeline``.

How far back one can look, what of it can't be shown, and when something happened.  Nothing is run again for it: the
first two come from the indexes of recordings, the marks from the event log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from api.accounts.auth import Session, require
from api.chunks import asked_chunk
from api.errors import ApiError
from api.fields import ChunkIdPath
from api.past.routes import PAST_REFUSALS, PastGap
from api.past.whereabouts import run_of
from api.responses import refusals
from api.services import Services
from recordings.kept import KeptPast
from recordings.past_page import NO_END, Gap
from recordings.track import between
from store.chunk_marks import Kind, Marks, read_marks
from streaming import keys
from streaming.newest_deltas import StreamSpan, span_of_stream
from streaming.shared_clock import now_ms
from world.ids import chunk_name

router = APIRouter()
log = structlog.get_logger(__name__)

#: What is shown if nobody says otherwise: ten minutes at 5 Hz.
SPAN_TICKS: Final = 3_000
PARTS: Final = 150
PARTS_MOST: Final = 300
#: Field of the hash ``world``: the number of the next chunk (``cluster.graph``).
NEXT_CHUNK: Final = "next_chunk"
#: The log's clock and the recording's differ by less.
CLOCKS_APART: Final = timedelta(hours=1)


class TimelineMark(BaseModel):
    """Something happened."""

    tick: int = Field(description="When first within its part of the span.")
    kind: Kind
    count: int = Field(description="How often within that part.")


class ChunkTimeline(BaseModel):
    """How far back one can look in a chunk, and when something happened."""

    chunk_id: str
    recorded: bool = Field(description="Whether this server records; if not, about the last minute is kept.")
    now_ms: int = Field(description="The Unix time of this answer, in milliseconds.")
    tick_hz: int
    oldest_tick: int | None = Field(description="The first that can be shown; null: nothing is kept yet.")
    newest_tick: int | None = Field(description="Of the newest delta, or where the recording ends.")
    points: list[tuple[int, int]] = Field(
        description="Ticks and Unix times in milliseconds, both rising; in between ticks are evenly spaced, nearly."
    )
    gaps: list[PastGap] = Field(description="What can't be shown, oldest first.")
    gaps_from: int = Field(description="From which tick on gaps are known; later answers know more.")
    marks: list[TimelineMark] = Field(description="By tick; none of what happened in the last second or two.")
    marks_from: int | None = Field(
        description="From which tick on all marks are here: of a busy chunk the newest; null: they can't be known now."
    )


@router.get(
    "/v1/chunks/{chunk_id}/timeline",
    responses=refusals(*PAST_REFUSALS),
    tags=["chunks"],
)
async def chunk_timeline(
    chunk_id: ChunkIdPath,
    request: Request,
    session: Annotated[Session, Depends(require(operators=True))],
    first: Annotated[
        int | None,
        Query(alias="from", ge=0, le=NO_END, description="Where the marks begin; else 3,000 ticks before `to`."),
    ] = None,
    last: Annotated[
        int | None, Query(alias="to", ge=0, le=NO_END, description="Where they end; without it, now.")
    ] = None,
    parts: Annotated[int, Query(ge=1, le=PARTS_MOST, description="Parts that the marks are counted in.")] = PARTS,
) -> ChunkTimeline:
    """Return how far back the chunk's past goes, what of it can't be shown, and when something happened in it.

    Marks say no more than the chunk's deltas do, and less: `chat`, `harvest`, `crossing` (in or out), `join`, `leave`.
    """
    services: Services = request.app.state.services
    await services.limits.watching(request, session)
    wanted = asked_chunk(chunk_id)
    there = bool(await services.redis.exists(keys.chunk(wanted)))
    if not there and await _never_was(services, wanted):
        raise ApiError("chunk_not_found")
    kept = await services.past.kept(wanted)
    stream = await span_of_stream(services.redis, wanted)
    if not there and kept.first is None and stream is None:
        raise ApiError("chunk_not_found")
    recorded = services.settings.recordings
    points = _points(kept, stream)
    ends = (kept.last, None if stream is None else stream.last[0])
    newest = max((tick for tick in ends if tick is not None), default=None)
    end = (newest or 0) if last is None else last
    start = max(0, end - SPAN_TICKS) if first is None else first
    # As with the history: a span that ends before it begins has nothing in it.
    marks = Marks([], start) if start > end else await _marks(services, wanted, (start, end), points, parts)
    gaps = _gaps(kept, stream, recorded)
    return ChunkTimeline(
        chunk_id=wanted,
        recorded=recorded,
        now_ms=now_ms(),
        tick_hz=services.settings.tick_hz,
        oldest_tick=_oldest(kept, stream),
        newest_tick=newest,
        points=points,
        gaps=[PastGap(from_tick=gap.first, to_tick=gap.last, reason=gap.reason) for gap in gaps],
        gaps_from=kept.gaps_from,
        marks=[TimelineMark(tick=one.tick, kind=one.kind, count=one.count) for one in marks.marks],
        marks_from=marks.known_from,
    )


async def _never_was(services: Services, chunk_id: str) -> bool:
    """Return whether the world, which counts the chunks it makes, never made this one.  Raises ``RedisError``."""
    following = await services.redis.hget(keys.WORLD, NEXT_CHUNK)
    if following is None:
        return False
    number = chunk_id.removeprefix("chunk-")
    made = number.isdecimal() and int(number) < int(following) and chunk_name(int(number)) == chunk_id
    return not made


async def _marks(
    services: Services, chunk_id: str, ticks: tuple[int, int], points: Sequence[tuple[int, int]], parts: int
) -> Marks:
    """Return when something happened; that can't be known while the event log is away, or too many ask for it."""
    since, until = (_time_of(tick, points) for tick in ticks)
    times = since - CLOCKS_APART, until + CLOCKS_APART
    size = -(-(ticks[1] - ticks[0] + 1) // parts)
    unknown = Marks([], None)
    run_id = await run_of(services)
    if services.past.marking.locked():
        return unknown
    try:
        async with services.past.marking:
            return await read_marks(services.engine, run_id, chunk_id, ticks, times, size=size)
    except (SQLAlchemyError, OSError) as error:
        log.warning("marks_unavailable", error=type(error).__name__)
        return unknown


def _time_of(tick: int, points: Sequence[tuple[int, int]]) -> datetime:
    """Return about when a tick was; before and after what is known, the nearest time that is."""
    later = next((at for at, point in enumerate(points) if point[0] >= tick), None)
    if not points:
        ms = 0
    elif later is None:
        ms = points[-1][1]
    else:
        (low, began), (high, ended) = points[max(0, later - 1)], points[later]
        ms = between(tick, (low, high), (began, ended))
    return datetime.fromtimestamp(ms / 1000, UTC)


def _points(kept: KeptPast, stream: StreamSpan | None) -> list[tuple[int, int]]:
    """Return the recording's ticks with their times, and those of the stream that are newer."""
    points = list(kept.points)
    for tick, ms in () if stream is None else (stream.first, stream.last):
        if not points or (tick > points[-1][0] and ms >= points[-1][1]):
            points.append((tick, ms))
    return points


def _oldest(kept: KeptPast, stream: StreamSpan | None) -> int | None:
    """Return the first tick that can be shown.  Of the stream that is the one after its oldest delta."""
    found = [] if stream is None else [stream.first[0] + 1]
    return min(found if kept.first is None else [*found, kept.first], default=None)


def _gaps(kept: KeptPast, stream: StreamSpan | None, recorded: bool) -> list[Gap]:
    """Return what can't be shown, what lies between the recording and the stream included."""
    gaps = list(kept.gaps)
    if kept.last is not None and stream is not None and stream.before is not None and stream.before > kept.last:
        gaps.append(Gap(kept.last + 1, stream.before, "not_yet_recorded" if recorded else "not_recorded"))
    return gaps
