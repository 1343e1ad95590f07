"""The digests that watchers are told, read a little seldom."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from streaming import keys
from streaming.digests import CACHED_CHUNKS, FRESH_S, TOLD_MOST, ChunkDigests, read_digests


async def tell(redis: Any, chunk_id: str, *ticks: int) -> None:
    for tick in ticks:
        fields = {"digest": f"d{tick}", "chain": f"c{tick}", "entry": f"1 {tick} c{tick}"}
        await redis.xadd(keys.chunk_digests(chunk_id), fields, id=f"{tick}-1")


async def test_the_newest_oldest_first(redis: Redis) -> None:
    assert await read_digests(redis, "chunk-1") == []
    await tell(redis, "chunk-1", *range(10, 40))
    found = await read_digests(redis, "chunk-1")
    assert [one.tick for one in found] == list(range(10, 40))
    assert found[0].to_json() == {"tick": 10, "digest": "d10", "chain": "c10", "entry": "1 10 c10"}
    newest = await ChunkDigests(redis).newest("chunk-1")
    assert newest == found[-TOLD_MOST:]


async def test_many_watchers_cost_a_read_now_and_then(redis: Redis) -> None:
    now = [0.0]
    digests = ChunkDigests(redis, clock=lambda: now[0])
    await tell(redis, "chunk-1", 1)
    assert [one.tick for one in await digests.newest("chunk-1")] == [1]
    await tell(redis, "chunk-1", 2)
    assert [one.tick for one in await digests.newest("chunk-1")] == [1]
    now[0] += FRESH_S
    assert [one.tick for one in await digests.newest("chunk-1")] == [1, 2]
    for number in range(CACHED_CHUNKS + 5):
        await digests.newest(f"chunk-x{number}")
    assert len(digests._cached) == CACHED_CHUNKS
