"""Tasks beside the ticks, without a shard."""

from __future__ import annotations

import asyncio

import pytest

from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard.errands import Errands


@pytest.mark.parametrize("error", [WorldReloaded(), ShardUnavailable("away"), KeyError("a fault")])
async def test_an_errand_that_fails_takes_nobody_along(error: Exception) -> None:
    async def work() -> None:
        raise error

    errands = Errands(0)
    errands.begin(work())
    (task,) = errands.tasks
    await task
    await asyncio.sleep(0)
    assert errands.tasks == set()


async def test_what_was_begun_goes_on_when_its_caller_gives_up() -> None:
    errands, may_end, done = Errands(0), asyncio.Event(), []

    async def work() -> None:
        await may_end.wait()
        done.append(True)

    caller = asyncio.create_task(errands.to_the_end(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    may_end.set()
    await asyncio.gather(*errands.tasks)
    assert done == [True]


async def test_the_end_of_the_shard_is_told_to_whoever_waits() -> None:
    errands = Errands(7)
    caller = asyncio.create_task(errands.to_the_end(asyncio.Event().wait()))
    other = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    await errands.end(other)
    with pytest.raises(ShardUnavailable, match="shard 7"):
        await caller
    assert other.cancelled()
    assert errands.tasks == set()


async def test_an_answer_comes_back_and_an_error_too() -> None:
    async def answer(value: int) -> int:
        if not value:
            raise ValueError("nothing")
        return value

    errands = Errands(0)
    assert await errands.to_the_end(answer(3)) == 3
    with pytest.raises(ValueError, match="nothing"):
        await errands.to_the_end(answer(0))
    assert errands.tasks == set()
