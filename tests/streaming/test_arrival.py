"""What a follower is shown of the chunk that its agent comes into."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from streaming.arrival import ARRIVAL_DELTAS, ARRIVAL_SLACK_TICKS, read_arrival
from tests.streaming.writer import ChunkWriter


async def chunk_until(redis: Redis, last: int) -> ChunkWriter:
    chunk = ChunkWriter(redis, window=10**6)
    await chunk.create()
    for _ in range(last):
        await chunk.tick()
    return chunk


async def test_a_chunk_that_is_gone_has_nothing_to_show(redis: Redis) -> None:
    chunk = await chunk_until(redis, 2)
    await chunk.close()
    assert await read_arrival(redis, "chunk-0", 2) == (None, [])


async def test_a_new_chunk_has_a_static_alone(redis: Redis) -> None:
    await chunk_until(redis, 0)
    static, deltas = await read_arrival(redis, "chunk-0", 1)
    assert static is not None
    assert (static.kind, static.fields()["chunk_id"], deltas) == ("chunk_static", "chunk-0", [])


@pytest.mark.parametrize(
    ("tick", "first"),
    [(None, 30), (25, 25 - ARRIVAL_SLACK_TICKS), (3, 1), (30 + ARRIVAL_SLACK_TICKS + 5, 30)],
    ids=["unknown tick: the newest", "some ticks before", "from the first on", "a clock far ahead: the newest"],
)
async def test_deltas_from_about_the_transition_on(redis: Redis, tick: int | None, first: int) -> None:
    await chunk_until(redis, 30)
    static, deltas = await read_arrival(redis, "chunk-0", tick)
    assert [delta.id[0] for delta in deltas] == list(range(first, 31))
    assert static is not None
    assert static.trace_id == deltas[-1].trace_id


async def test_more_deltas_than_are_read_end_with_the_newest(redis: Redis) -> None:
    """A clock far behind: the newest shows where the agent is now, whatever lies between."""
    last = ARRIVAL_DELTAS + 40
    await chunk_until(redis, last)
    _, deltas = await read_arrival(redis, "chunk-0", 0)
    assert [delta.id[0] for delta in deltas] == [*range(1, ARRIVAL_DELTAS + 1), last]


async def test_entries_that_are_not_ours_are_passed_over(redis: Redis) -> None:
    chunk = await chunk_until(redis, 2)
    await redis.xadd(chunk.key, {"m": b"rubbish"}, id="3-0")
    await redis.xadd(chunk.key, {"other": b"field"}, id="4-0")
    _, deltas = await read_arrival(redis, "chunk-0", 1)
    assert [delta.id[0] for delta in deltas] == [1, 2]
