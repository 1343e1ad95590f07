"""The bounded queue: what gives way when it is full, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from chunkcrawl.errors import TakenOver
from chunkcrawl.transport.stream_queue import EventQueue
from tests.sdk.builders import delta, event


async def drained(queue: EventQueue) -> list[str]:
    queue.end()
    return [f"{found.type}:{getattr(found, 'tick', '')}" async for found in queue]


async def test_events_come_in_order() -> None:
    queue = EventQueue(10)
    for tick in (1, 2, 3):
        queue.put(event("chunk_delta", **delta(tick)))
    assert await drained(queue) == ["chunk_delta:1", "chunk_delta:2", "chunk_delta:3"]
    assert queue.dropped == 0


async def test_the_oldest_delta_gives_way_before_anything_that_is_said_once() -> None:
    queue = EventQueue(3)
    queue.put(event("command_ack", accepted=True))
    queue.put(event("chunk_delta", **delta(1)))
    queue.put(event("chunk_delta", **delta(2)))
    queue.put(event("command_result", status="completed"))
    assert queue.dropped == 1
    assert await drained(queue) == ["command_ack:", "chunk_delta:2", "command_result:"]


async def test_without_deltas_the_oldest_goes_and_memory_stays_bounded() -> None:
    queue = EventQueue(2)
    for _ in range(5):
        queue.put(event("command_ack", accepted=True))
    queue.put(event("command_result", status="completed"))
    assert queue.dropped == 4
    assert await drained(queue) == ["command_ack:", "command_result:"]


async def test_a_waiting_reader_wakes_up() -> None:
    queue = EventQueue(2)
    reader = asyncio.create_task(anext(queue))
    await asyncio.sleep(0)
    queue.put(event("heartbeat"))
    assert (await reader).type == "heartbeat"


async def test_an_error_comes_after_what_was_left() -> None:
    queue = EventQueue(2)
    queue.put(event("heartbeat"))
    queue.end(TakenOver())
    queue.put(event("heartbeat"))
    assert (await anext(queue)).type == "heartbeat"
    with pytest.raises(TakenOver):
        await anext(queue)


def test_a_queue_holds_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EventQueue(0)
