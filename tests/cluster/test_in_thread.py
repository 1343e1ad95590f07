"""A cancelled caller goes on when its thread has ended, not before."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from cluster.in_thread import in_thread

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


async def test_it_gives_what_the_function_gives_in_the_callers_context() -> None:
    who.set("me")
    assert await in_thread(lambda one: (one, who.get()), 1) == (1, "me")
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_however_often_cancelled_it_waits(fails: bool) -> None:
    begun, told, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        told.wait(10)
        ended.set()
        if fails:
            raise OSError("nobody hears of it")

    hints: list[bool] = []
    working = asyncio.create_task(in_thread(work, on_cancel=lambda: hints.append(True)))
    try:
        assert await asyncio.to_thread(begun.wait, 10)
        for _ in range(3):
            working.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not working.done()
    finally:
        told.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended.is_set()
    assert hints == [True]
