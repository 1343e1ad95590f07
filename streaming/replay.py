"""What a reader has missed, read from the stream, and the seam to what it gets live.

The order is what makes the seam tight: subscribe first, then read, then join by id.  Whatever is committed after the
subscription is in force arrives by itself; whatever was committed before is in the stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from redis.asyncio import Redis

from config.errors import ServerError
from streaming.entry import BEFORE_FIRST, BadEntry, Entry, StreamId, format_stream_id, from_stream

#: Entries read at once; bounds what one resuming reader holds in memory.
REPLAY_PAGE: Final = 128


class Unreplayable(ServerError):
    """The place is not one from which the stream can be read on without a hole: trimmed, ahead, or never there."""

    reason = "unreplayable"


async def replay(redis: Redis, key: str, since: StreamId, upto: StreamId | None = None) -> AsyncIterator[list[Entry]]:
    """Yield the entries of ``key`` after ``since`` (up to ``upto``, inclusive), oldest first, in pages.

    Each page is read by one command and checked by predecessor ids, so trimming at the same time is noticed.  Ends
    when a page comes short: what was committed by then has been given.

    Raises:
        Unreplayable: before the first page, or between two if the stream was trimmed beyond the reader meanwhile.
        RedisError: as redis-py raises it.
    """
    if since == BEFORE_FIRST:
        raise Unreplayable("no such entry")
    while True:
        # To the end also with ``upto``: only what follows ``since`` tells whether anything is missing after it.
        answer: Any = await redis.xrange(key, format_stream_id(since), "+", count=REPLAY_PAGE)
        page = _continued(key, since, answer)
        wanted = page if upto is None else [entry for entry in page if entry.id <= upto]
        if wanted:
            since = wanted[-1].id
            yield wanted
        if len(answer) < REPLAY_PAGE or len(wanted) < len(page):
            return


def _continued(key: str, since: StreamId, answer: list[Any]) -> list[Entry]:
    try:
        entries = [from_stream(key, id_, fields[b"m"]) for id_, fields in answer]
    except (BadEntry, KeyError) as error:
        raise Unreplayable(f"the stream is broken: {error!r}") from None
    if not entries:
        raise Unreplayable("ahead of the stream, or the stream is gone")
    if entries and entries[0].id == since:
        entries = entries[1:]
    before = since
    for entry in entries:
        if entry.prev != before:
            raise Unreplayable(f"{format_stream_id(entry.id)} does not follow {format_stream_id(before)}")
        before = entry.id
    return entries
