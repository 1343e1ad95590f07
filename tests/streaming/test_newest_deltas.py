"""The end of the past, from the chunk's stream."""

from __future__ import annotations

import orjson
import pytest
from redis.asyncio import Redis

from recordings.past_page import Gap, PastDelta, PastPage
from streaming.newest_deltas import add_newest, page_of_stream, span_of_stream
from tests.streaming.writer import ChunkWriter, twenty_ticks


@pytest.fixture
async def chunk(redis: Redis) -> ChunkWriter:
    """Ticks 6 to 20: older ones have left the stream."""
    return await twenty_ticks(redis)


def ticks(page: PastPage | None) -> list[int]:
    assert page is not None
    return [delta.tick for delta in page.deltas]


async def test_a_page_from_the_stream_alone(redis: Redis, chunk: ChunkWriter) -> None:
    page = await page_of_stream(redis, "chunk-0", 10, 15, 100)
    assert ticks(page) == [10, 11, 12, 13, 14, 15]
    assert page is not None
    assert (page.last, page.gap, page.closed) == (15, None, None)
    assert page.static is not None
    assert page.state is not None
    assert orjson.loads(page.state)["tick"] == 9
    small = await page_of_stream(redis, "chunk-0", 10, 15, 2)
    assert ticks(small) == [10, 11]
    assert small is not None
    assert not small.ended


async def test_the_present_and_what_is_to_come(redis: Redis, chunk: ChunkWriter) -> None:
    page = await page_of_stream(redis, "chunk-0", 18, 10**14, 100)
    assert ticks(page) == [18, 19, 20]
    assert page is not None
    assert page.ended
    later = await page_of_stream(redis, "chunk-0", 500, 10**14, 100)
    assert ticks(later) == []
    assert later is not None
    assert (later.ended, later.last) == (True, 499)


async def test_what_the_stream_does_not_reach_back_to(redis: Redis, chunk: ChunkWriter) -> None:
    assert await page_of_stream(redis, "chunk-0", 3, 15, 100) is None
    assert await page_of_stream(redis, "chunk-0", 0, 15, 100) is None
    assert await page_of_stream(redis, "chunk-7", 3, 15, 100) is None


async def test_a_recording_is_joined_where_the_two_fit(redis: Redis, chunk: ChunkWriter) -> None:
    for upto in (5, 9, 19):
        page = PastPage("chunk-0", 3, upto, deltas=[PastDelta(upto, b"{}", 1)], ended=True)
        await add_newest(redis, page, 10**14, 100)
        assert ticks(page) == list(range(upto, 21))
        assert (page.gap, page.ended, page.last) == (None, True, 20)


async def test_what_is_in_neither_is_a_gap_of_the_next_page(redis: Redis, chunk: ChunkWriter) -> None:
    page = PastPage("chunk-0", 1, 2, deltas=[PastDelta(2, b"{}", 1)], ended=True)
    await add_newest(redis, page, 10**14, 100)
    assert (ticks(page), page.ended, page.last) == ([2], False, 2)
    following = PastPage("chunk-0", 3, 2, static=b"{}", state=b"{}", ended=True)
    await add_newest(redis, following, 10**14, 100)
    assert following.gap == Gap(3, 5, "not_yet_recorded")
    assert following.state is None
    assert ticks(following) == list(range(6, 21))


async def test_a_chunk_that_is_new(redis: Redis) -> None:
    chunk = ChunkWriter(redis)
    await chunk.create()
    for _ in range(3):
        await chunk.tick()
    page = PastPage("chunk-0", 0, -1, ended=True)
    await add_newest(redis, page, 10**14, 100)
    assert (ticks(page), page.gap) == ([1, 2, 3], None)


async def test_what_the_stream_reaches_over(redis: Redis, chunk: ChunkWriter) -> None:
    span = await span_of_stream(redis, "chunk-0")
    assert span is not None
    assert (span.first[0], span.last[0], span.before) == (6, 20, 5)
    assert span.first[1] <= span.last[1]
    assert await span_of_stream(redis, "chunk-9") is None
