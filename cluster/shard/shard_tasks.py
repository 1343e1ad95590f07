"""Tasks beside a shard's ticks: what the core has asked of the outside, and work that must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from cluster.peers import ShardUnavailable, WorldReloaded
from streaming.cancellable import end

T = TypeVar("T")

log = structlog.get_logger(__name__)


class ShardTasks:
    """The tasks of one epoch of shard number ``shard``; ``tasks`` are those that still run."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self.tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run ``work`` beside the ticks; an error in it is logged, and the core asks again in time."""
        task = asyncio.create_task(self._guarded(work))
        # One that is cancelled before its first step never awaits its work.
        task.add_done_callback(lambda _: work.close())
        self._keep(task)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``work`` beside the ticks and return its task; it tells whoever waits for it of its errors itself.

        Cancelled before its first step it does nothing at all: that shows only in the task.
        """
        task = asyncio.create_task(work)
        self._keep(task)
        return task

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``, which goes on when its caller gives up: half a commit must not be left behind.

        Raises:
            ShardUnavailable: this epoch of the shard has ended meanwhile.
        """
        task = asyncio.create_task(work)
        self._keep(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise ShardUnavailable(f"shard {self._shard} has ended") from None
            raise

    async def end(self, *others: asyncio.Task[Any]) -> None:
        """Cancel all of them, and ``others``, and wait for it."""
        await end(*others, *self.tasks)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self.tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it has it; nobody may be left

    async def _guarded(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except WorldReloaded:
            return
        except ShardUnavailable as error:
            log.info("background_task_put_off", shard=self._shard, error=str(error))
        except Exception as error:  # a background task must not take the shard down; a fenced commit has already
            log.error("background_task_failed", shard=self._shard, error=repr(error), exc_info=True)
