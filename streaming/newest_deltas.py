"""What a chunk's stream still has of its past: the end of every rewinding, which no recording has yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from recordings.past_page import NO_END, Gap, PastDelta, PastPage, Reason
from streaming import keys
from streaming.entry import BEFORE_FIRST, BadEntry, SharedEvent, StreamId, format_stream_id, from_stream

#: Above the sequence of any entry of a tick.
LAST_SEQ: Final = 2**64 - 1


async def page_of_stream(redis: Redis, chunk_id: str, first: int, last: int, limit: int) -> PastPage | None:
    """Return a page from the stream alone; None: it does not reach back to before ``first``.  Raises ``RedisError``."""
    before = await newest_upto(redis, chunk_id, first - 1) if first > 0 else None
    if before is None or before.kind != "chunk_delta":
        return None
    static: Any = await redis.get(keys.chunk_static(chunk_id))
    if static is None:
        return None
    page = PastPage(chunk_id, first, first - 1, static=static, ended=True)
    page.state = orjson.dumps({**before.fields(), "events": []})
    await add_newest(redis, page, last, limit, after=before.id[0])
    return page


async def add_newest(
    redis: Redis,
    page: PastPage,
    last: int,
    limit: int,
    *,
    after: int | None = None,
    reason: Reason = "not_yet_recorded",
) -> None:
    """Add to a page that has ended what the stream has after it, if the two fit without a hole.

    A page that has nothing, and does not fit, begins with a gap.

    Args:
        last: the last tick that is wanted.
        limit: deltas that there is room for.
        after: the tick of a delta up to which the page is whole; None: its ``last``.
        reason: why what is neither here nor there can't be shown.

    Raises:
        RedisError: as redis-py raises it.
    """
    whole = page.last if after is None else after
    entries = await _entries(redis, page.chunk_id, (page.last + 1, 0), (last, LAST_SEQ), limit + 1)
    if entries and entries[0].prev != BEFORE_FIRST and entries[0].prev[0] > whole:
        if page.deltas or page.gap is not None:
            page.ended = False
            return  # the next page begins with the gap
        page.gap = Gap(page.first, min(entries[0].prev[0], last), reason)
        page.static = page.state = None
    for entry in entries[:limit]:
        if entry.kind == "chunk_closed":
            page.closed = page.last = entry.id[0]
            break
        page.deltas.append(PastDelta(entry.id[0], entry.payload, entry.ts_ms))
        page.last = entry.id[0]
    page.ended = len(entries) <= limit and page.closed is None


@dataclass(frozen=True, slots=True)
class StreamSpan:
    """What a chunk's stream reaches over."""

    #: Tick and Unix time (ms) of its oldest and its newest entry.
    first: tuple[int, int]
    last: tuple[int, int]
    #: The tick of the entry before the oldest one; None: there was none.
    before: int | None


async def span_of_stream(redis: Redis, chunk_id: str) -> StreamSpan | None:
    """Return what the chunk's stream reaches over; None: it has nothing.  Raises ``RedisError``."""
    oldest = await _entries(redis, chunk_id, (0, 0), (NO_END, LAST_SEQ), 1)
    newest = await newest_upto(redis, chunk_id)
    if not oldest or newest is None:
        return None
    before = None if oldest[0].prev == BEFORE_FIRST else oldest[0].prev[0]
    first, last = ((one.id[0], one.ts_ms) for one in (oldest[0], newest))
    return StreamSpan(first, last, before)


async def newest_upto(redis: Redis, chunk_id: str, tick: int = NO_END) -> SharedEvent | None:
    """Return the newest entry of a chunk's stream up to a tick; None: it has none.  Raises ``RedisError``."""
    found = await _entries(redis, chunk_id, (0, 0), (tick, LAST_SEQ), 1, newest=True)
    return found[0] if found else None


async def _entries(
    redis: Redis, chunk_id: str, first: StreamId, last: StreamId, count: int, *, newest: bool = False
) -> list[SharedEvent]:
    key, low, high = keys.chunk_stream(chunk_id), format_stream_id(first), format_stream_id(last)
    read = redis.xrevrange(key, high, low, count=count) if newest else redis.xrange(key, low, high, count=count)
    found: Any = await read
    entries = []
    for id_, fields in found:
        try:
            entry = from_stream(key, id_, fields[b"m"])
        except (BadEntry, KeyError):
            continue
        if isinstance(entry, SharedEvent):
            entries.append(entry)
    return entries
