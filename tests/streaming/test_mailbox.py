"""Bounded queues: what a slow reader costs, and what it is told."""

from __future__ import annotations

import asyncio

import pytest

from streaming.mailbox import Closed, Mailbox, Overflowed
from tests.streaming.writer import delta

ENTRIES = [delta("chunk-0", (tick, 0), (tick - 1, 0)) for tick in range(1, 30)]


async def test_what_was_put_comes_out_in_order_at_once() -> None:
    mailbox = Mailbox(capacity=8)
    for entry in ENTRIES[:5]:
        mailbox.put(entry)
    assert await mailbox.take() == ENTRIES[:5]


async def test_taking_waits_for_something() -> None:
    mailbox = Mailbox(capacity=8)
    taking = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    mailbox.put(ENTRIES[0])
    assert await taking == [ENTRIES[0]]


async def test_a_slow_watcher_loses_its_backlog_and_is_told() -> None:
    mailbox = Mailbox(capacity=4)
    for entry in ENTRIES[:20]:
        mailbox.put(entry)
        assert len(mailbox) <= 4
    assert mailbox.dropped == 20
    assert await mailbox.take() is None
    mailbox.put(ENTRIES[20])
    assert await mailbox.take() == [ENTRIES[20]]


async def test_a_slow_follower_is_closed() -> None:
    mailbox = Mailbox(capacity=4, overflow="overflow_close")
    for entry in ENTRIES[:5]:
        mailbox.put(entry)
    with pytest.raises(Overflowed):
        await mailbox.take()


async def test_closing_wakes_the_reader_and_the_first_reason_stands() -> None:
    mailbox = Mailbox()
    taking = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    mailbox.close(4001, "replaced")
    mailbox.close(1012, "drain")
    with pytest.raises(Closed) as closed:
        await taking
    assert (closed.value.code, closed.value.reason) == (4001, "replaced")


async def test_a_heartbeat_that_is_not_taken_is_noticed() -> None:
    mailbox = Mailbox()
    assert mailbox.beat()
    assert not mailbox.beat()
    assert await mailbox.take() == []
    mailbox.heartbeat_due = False
    assert mailbox.beat()


async def test_a_cancelled_reader_leaves_no_waiter() -> None:
    mailbox = Mailbox()
    taking = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    mailbox.put(ENTRIES[0])
    assert await mailbox.take() == [ENTRIES[0]]
