"""Blocking work in a thread that has ended when its caller goes on, also one that was cancelled.

``asyncio.to_thread`` can't end a thread: a cancelled caller goes on at once, frees its locks, and the next one works on
the same files beside the thread that is still there.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

Ts = TypeVarTuple("Ts")
R = TypeVar("R")


async def in_thread(function: Callable[[*Ts], R], *args: *Ts, on_cancel: Callable[[], object] | None = None) -> R:
    """Return what ``function`` returns in a thread.

    Cancelled, however often, it waits until the function has ended; what that returned or raised is dropped then.

    Args:
        on_cancel: Called when it is cancelled, before it waits: so that the function may end sooner.

    Raises:
        asyncio.CancelledError: the caller was cancelled; the function runs no more.
    """
    context = contextvars.copy_context()
    # A plain future, no task: the end of a loop cancels all tasks.
    running = asyncio.get_running_loop().run_in_executor(None, lambda: context.run(function, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel()
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # taken notice of, so that nobody logs it as forgotten
        raise
