"""Where generators and driver meet."""

from __future__ import annotations

import asyncio

import pytest

from loadtest.switchboard import SAMPLES_MAX, Orders, Switchboard
from tests.loadtest.makers import sample


async def test_all_begin_together() -> None:
    switchboard = Switchboard(3)
    begun: list[int] = []

    async def begin(task: int) -> None:
        await switchboard.begin(task)
        begun.append(task)

    async with asyncio.TaskGroup() as group:
        group.create_task(begin(0))
        group.create_task(begin(1))
        await asyncio.sleep(0)
        assert await switchboard.here() == 2
        assert begun == []
        group.create_task(begin(2))
    assert sorted(begun) == [0, 1, 2]


async def test_samples_go_one_way_and_orders_the_other() -> None:
    switchboard = Switchboard(1)
    assert await switchboard.report(sample(second=1)) == Orders()
    await switchboard.order(Orders(measure_from=4, stop_at=9))
    assert await switchboard.report(sample(second=2)) == Orders(4, 9)
    assert [one.second for one in await switchboard.take()] == [1, 2]
    assert await switchboard.take() == []


async def test_without_a_driver_only_the_newest_samples_are_kept() -> None:
    switchboard = Switchboard(1)
    for second in range(SAMPLES_MAX + 5):
        await switchboard.report(sample(second=second))
    kept = await switchboard.take()
    assert (len(kept), kept[0].second) == (SAMPLES_MAX, 5)


@pytest.mark.parametrize(
    ("orders", "counted"),
    [(Orders(), []), (Orders(2), [2, 3, 4]), (Orders(2, 4), [2, 3]), (Orders(stop_at=3), []), (Orders(2, 2), [])],
)
def test_which_seconds_count(orders: Orders, counted: list[int]) -> None:
    assert [second for second in range(5) if orders.counts(second)] == counted
