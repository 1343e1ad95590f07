"""Tasks beside the ticks, without a shard."""

from __future__ import annotations

import asyncio

import pytest

from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard.shard_tasks import ShardTasks


@pytest.mark.parametrize("error", [WorldReloaded(), ShardUnavailable("away"), KeyError("a fault")])
async def test_a_background_task_that_fails_takes_nobody_along(error: Exception) -> None:
    async def work() -> None:
        raise error

    tasks = ShardTasks(0)
    tasks.begin(work())
    (task,) = tasks.tasks
    await task
    await asyncio.sleep(0)
    assert tasks.tasks == set()


async def test_what_was_begun_goes_on_when_its_caller_gives_up() -> None:
    tasks, may_end, done = ShardTasks(0), asyncio.Event(), []

    async def work() -> None:
        await may_end.wait()
        done.append(True)

    caller = asyncio.create_task(tasks.to_the_end(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    may_end.set()
    await asyncio.gather(*tasks.tasks)
    assert done == [True]


async def test_the_end_of_the_shard_is_told_to_whoever_waits() -> None:
    tasks = ShardTasks(7)
    caller = asyncio.create_task(tasks.to_the_end(asyncio.Event().wait()))
    other = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    await tasks.end(other)
    with pytest.raises(ShardUnavailable, match="shard 7"):
        await caller
    assert other.cancelled()
    assert tasks.tasks == set()


async def test_an_answer_comes_back_and_an_error_too() -> None:
    async def answer(value: int) -> int:
        if not value:
            raise ValueError("nothing")
        return value

    tasks = ShardTasks(0)
    assert await tasks.to_the_end(answer(3)) == 3
    with pytest.raises(ValueError, match="nothing"):
        await tasks.to_the_end(answer(0))
    assert tasks.tasks == set()
