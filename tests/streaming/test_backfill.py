"""Reading a stream that has not got what a message announced: seldom, and not for ever."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

from redis.asyncio import Redis

from streaming.backfill import AGAIN_AFTER_S, FRUITLESS_MOST, Backfill
from streaming.entry import SharedEvent
from streaming.gap_detector import Item
from streaming.hub import Hub
from tests.streaming.writer import ChunkWriter, delta_payload, message


async def test_messages_of_no_entry_cost_a_reading_now_and_then(redis: Redis, hub: Hub) -> None:
    """Somebody else publishes on our channel without end; our own entries go through, each once."""
    chunk, seen = ChunkWriter(redis), list[Item]()
    await chunk.tick()
    await hub.subscribe(chunk.key, seen.append).ready()
    reads, read = 0, Backfill._fill_some

    async def counted(backfill: Backfill, channels: list[object]) -> None:
        nonlocal reads
        reads += 1
        await read(backfill, channels)  # type: ignore[arg-type]

    loop = asyncio.get_running_loop()
    with patch.object(Backfill, "_fill_some", counted):
        began = loop.time()
        for n in range(60):
            foreign = message((9_000 + n, 0), "chunk_delta", delta_payload("chunk-0", 9_001 + n))
            await redis.publish(chunk.key, f"{9_001 + n}-0 ".encode() + foreign)
            if n % 3 == 0:
                await chunk.tick()
            await asyncio.sleep(0.01)
        took = loop.time() - began
    assert reads <= 2 + took / AGAIN_AFTER_S * 1.5
    async with asyncio.timeout(10):
        while len(seen) < 20:
            await asyncio.sleep(0.01)
    assert [item.id for item in seen if isinstance(item, SharedEvent)] == [(tick, 0) for tick in range(2, 22)]


async def test_a_message_of_no_entry_is_given_up(redis: Redis, hub: Hub) -> None:
    chunk, seen = ChunkWriter(redis), list[Item]()
    await hub.subscribe(chunk.key, seen.append).ready()
    await chunk.tick()
    await redis.publish(chunk.key, b"99-0 " + message((98, 0), "chunk_delta", delta_payload("chunk-0", 99)))
    async with asyncio.timeout(FRUITLESS_MOST * AGAIN_AFTER_S + 10):
        while not hub.bad_entries:
            await asyncio.sleep(0.01)
    await chunk.tick()
    async with asyncio.timeout(10):
        while len(seen) < 2:
            await asyncio.sleep(0.01)
    assert [item.id for item in seen if isinstance(item, SharedEvent)] == [(1, 0), (2, 0)]
    assert hub.resyncs == 0
