"""Reading on from a place in a stream: every entry after it once, or told that this can't be."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from streaming.entry import StreamId
from streaming.replay import REPLAY_PAGE, Unreplayable, replay
from tests.streaming.writer import ChunkWriter


async def chunk_until(redis: Redis, last: int, *, first: int = 1) -> ChunkWriter:
    chunk = ChunkWriter(redis, window=10**6)
    for tick in range(first, last + 1):
        await chunk.tick(tick)
    return chunk


async def ticks(redis: Redis, chunk: ChunkWriter, since: StreamId, upto: StreamId | None = None) -> list[list[int]]:
    return [[entry.id[0] for entry in page] async for page in replay(redis, chunk.key, since, upto)]


async def test_what_follows_oldest_first(redis: Redis) -> None:
    chunk = await chunk_until(redis, 9)
    assert await ticks(redis, chunk, (4, 0)) == [[5, 6, 7, 8, 9]]


async def test_the_newest_has_nothing_after_it(redis: Redis) -> None:
    assert await ticks(redis, await chunk_until(redis, 9), (9, 0)) == []


async def test_up_to_a_place_inclusive(redis: Redis) -> None:
    chunk = await chunk_until(redis, 9)
    assert await ticks(redis, chunk, (4, 0), (6, 0)) == [[5, 6]]
    assert await ticks(redis, chunk, (4, 0), (4, 0)) == []


async def test_many_come_in_pages_of_bounded_size_each_once(redis: Redis) -> None:
    last = 2 * REPLAY_PAGE + 10
    pages = await ticks(redis, await chunk_until(redis, last), (1, 0))
    assert [tick for page in pages for tick in page] == list(range(2, last + 1))
    assert len(pages) == 3
    assert max(len(page) for page in pages) <= REPLAY_PAGE


@pytest.mark.parametrize(
    "since",
    [(0, 0), (2, 0), (6, 1), (99, 0), (10**15, 0)],
    ids=["the beginning", "trimmed", "never there", "ahead", "far ahead"],
)
async def test_a_place_that_can_not_be_read_on_from(redis: Redis, since: StreamId) -> None:
    chunk = await chunk_until(redis, 9, first=4)
    with pytest.raises(Unreplayable):
        await ticks(redis, chunk, since)


async def test_the_last_entry_before_the_oldest_kept_is_a_place(redis: Redis) -> None:
    """The oldest one names its predecessor, so nothing is missing between the two."""
    chunk = await chunk_until(redis, 9)
    await redis.xtrim(chunk.key, minid="4-0", approximate=False)
    assert await ticks(redis, chunk, (3, 0)) == [[4, 5, 6, 7, 8, 9]]


async def test_an_entry_taken_out_of_the_middle_is_noticed(redis: Redis) -> None:
    chunk = await chunk_until(redis, 9)
    await redis.xdel(chunk.key, "6-0")
    with pytest.raises(Unreplayable, match="7-0 does not follow 5-0"):
        await ticks(redis, chunk, (4, 0))


async def test_trimming_beyond_the_reader_between_two_pages_is_noticed(redis: Redis) -> None:
    chunk = await chunk_until(redis, 2 * REPLAY_PAGE)
    pages = replay(redis, chunk.key, (1, 0))
    seen = [entry.id[0] for entry in await anext(pages)]
    await redis.xtrim(chunk.key, minid=f"{seen[-1] + 10}-0", approximate=False)
    with pytest.raises(Unreplayable):
        await anext(pages)


@pytest.mark.parametrize("fields", [{"m": b"rubbish"}, {"other": b"field"}])
async def test_a_broken_stream_is_not_read_past(redis: Redis, fields: dict[str, bytes]) -> None:
    chunk = await chunk_until(redis, 5)
    await redis.xadd(chunk.key, fields, id="6-0")  # type: ignore[arg-type]
    with pytest.raises(Unreplayable, match="broken"):
        await ticks(redis, chunk, (3, 0))
