"""Bounded queues: what a slow reader costs, and what it is told."""

from __future__ import annotations

import asyncio

import pytest

from streaming.subscriber_queue import Closed, Overflowed, SubscriberQueue
from tests.streaming.writer import delta

ENTRIES = [delta("chunk-0", (tick, 0), (tick - 1, 0)) for tick in range(1, 30)]


async def test_what_was_put_comes_out_in_order_at_once() -> None:
    queue = SubscriberQueue(capacity=8)
    for entry in ENTRIES[:5]:
        queue.put(entry)
    assert await queue.take() == ENTRIES[:5]


async def test_taking_waits_for_something() -> None:
    queue = SubscriberQueue(capacity=8)
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put(ENTRIES[0])
    assert await taking == [ENTRIES[0]]


async def test_a_slow_watcher_loses_its_backlog_and_is_told() -> None:
    queue = SubscriberQueue(capacity=4)
    for entry in ENTRIES[:20]:
        queue.put(entry)
        assert len(queue) <= 4
    assert queue.dropped == 20
    assert await queue.take() is None
    queue.put(ENTRIES[20])
    assert await queue.take() == [ENTRIES[20]]


async def test_a_slow_follower_is_closed() -> None:
    queue = SubscriberQueue(capacity=4, overflow="overflow_close")
    for entry in ENTRIES[:5]:
        queue.put(entry)
    with pytest.raises(Overflowed):
        await queue.take()


async def test_closing_wakes_the_reader_and_the_first_reason_stands() -> None:
    queue = SubscriberQueue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.close(4001, "replaced")
    queue.close(1012, "drain")
    with pytest.raises(Closed) as closed:
        await taking
    assert (closed.value.code, closed.value.reason) == (4001, "replaced")


async def test_a_heartbeat_that_is_not_taken_is_noticed() -> None:
    queue = SubscriberQueue()
    assert queue.beat()
    assert not queue.beat()
    assert await queue.take() == []
    queue.heartbeat_due = False
    assert queue.beat()


async def test_a_cancelled_reader_leaves_no_waiter() -> None:
    queue = SubscriberQueue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    queue.put(ENTRIES[0])
    assert await queue.take() == [ENTRIES[0]]
