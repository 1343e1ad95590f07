"""Where generators and driver meet."""

from __future__ import annotations

import asyncio

import pytest

from loadtest.mailbox import SAMPLES_MAX, Mailbox, Orders
from tests.loadtest.makers import sample


async def test_all_begin_together() -> None:
    mailbox = Mailbox(3)
    begun: list[int] = []

    async def begin(task: int) -> None:
        await mailbox.begin(task)
        begun.append(task)

    async with asyncio.TaskGroup() as group:
        group.create_task(begin(0))
        group.create_task(begin(1))
        await asyncio.sleep(0)
        assert await mailbox.here() == 2
        assert begun == []
        group.create_task(begin(2))
    assert sorted(begun) == [0, 1, 2]


async def test_samples_go_one_way_and_orders_the_other() -> None:
    mailbox = Mailbox(1)
    assert await mailbox.report(sample(second=1)) == Orders()
    await mailbox.order(Orders(measure_from=4, stop_at=9))
    assert await mailbox.report(sample(second=2)) == Orders(4, 9)
    assert [one.second for one in await mailbox.take()] == [1, 2]
    assert await mailbox.take() == []


async def test_without_a_driver_only_the_newest_samples_are_kept() -> None:
    mailbox = Mailbox(1)
    for second in range(SAMPLES_MAX + 5):
        await mailbox.report(sample(second=second))
    kept = await mailbox.take()
    assert (len(kept), kept[0].second) == (SAMPLES_MAX, 5)


@pytest.mark.parametrize(
    ("orders", "counted"),
    [(Orders(), []), (Orders(2), [2, 3, 4]), (Orders(2, 4), [2, 3]), (Orders(stop_at=3), []), (Orders(2, 2), [])],
)
def test_which_seconds_count(orders: Orders, counted: list[int]) -> None:
    assert [second for second in range(5) if orders.counts(second)] == counted
