"""Bounded queues: what a slow reader costs, and what it is told."""

from __future__ import annotations

import asyncio

import pytest

from streaming.gap_detector import Item
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


class Taking:
    """A ``direct`` that takes everything while ``open``."""

    def __init__(self) -> None:
        self.open = True
        self.items: list[Item] = []

    def __call__(self, item: Item) -> bool:
        if self.open:
            self.items.append(item)
        return self.open


async def waiting(queue: SubscriberQueue) -> asyncio.Task[list[Item] | None]:
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    return taking


async def test_direct_writes_only_while_the_reader_waits_with_nothing_queued() -> None:
    queue, direct = SubscriberQueue(capacity=8), Taking()
    queue.direct = direct
    queue.put(ENTRIES[0])
    assert direct.items == [], "nobody waits: what was taken before may not have been sent"
    assert await queue.take() == ENTRIES[:1]
    taking = await waiting(queue)
    queue.put(ENTRIES[1])
    queue.put(ENTRIES[2])
    assert direct.items == ENTRIES[1:3]
    assert not taking.done()
    taking.cancel()


async def test_after_one_that_was_left_everything_is_queued_until_the_reader_waits_again() -> None:
    queue, direct = SubscriberQueue(capacity=8), Taking()
    queue.direct = direct
    taking = await waiting(queue)
    direct.open = False
    queue.put(ENTRIES[0])
    direct.open = True
    queue.put(ENTRIES[1])
    assert direct.items == []
    assert await taking == ENTRIES[:2]
    taking = await waiting(queue)
    queue.put(ENTRIES[2])
    assert direct.items == ENTRIES[2:3]
    taking.cancel()


@pytest.mark.parametrize("first", ["beat", "close"])
async def test_what_has_woken_the_reader_comes_before_anything_direct(first: str) -> None:
    queue, direct = SubscriberQueue(capacity=8), Taking()
    queue.direct = direct
    taking = await waiting(queue)
    if first == "beat":
        queue.beat()
    else:
        queue.close(4001, "replaced")
    queue.put(ENTRIES[0])
    assert direct.items == []
    if first == "beat":
        assert await taking == ENTRIES[:1]
        assert queue.heartbeat_due
    else:
        with pytest.raises(Closed):
            await taking


async def test_a_full_queue_is_told_of_though_there_is_a_direct_way() -> None:
    queue, direct = SubscriberQueue(capacity=2, overflow="overflow_close"), Taking()
    queue.direct = direct
    direct.open = False
    taking = await waiting(queue)
    for entry in ENTRIES[:4]:
        queue.put(entry)
    with pytest.raises(Overflowed):
        await taking
    assert (len(queue), queue.dropped) == (0, 4)
