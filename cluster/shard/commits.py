"""A shard's commits: what has been applied to the core is taken, encoded and written, one commit at a time.

Inputs that arrive while a commit is under way share the next.  Where nothing of a commit may be written, the shard goes
back to the last one (``ShardRuntime.reload``), and whoever waits for it is told so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import structlog

from cluster.peers import WorldReloaded
from cluster.shard.output_log import log_output
from streaming.commit import Batch
from streaming.encode import encode_output
from streaming.journal import CommitRefused
from streaming.shared_clock import now_ms
from world.outputs import Output

if TYPE_CHECKING:
    from cluster.shard.runtime import ShardRuntime

T = TypeVar("T")

SETTLE_MOST = 200

log = structlog.get_logger(__name__)


class Commits:
    """The commits of one epoch of a shard.

    Attributes:
        extra: What the next commit holds besides the core's output.
        last_ids: The newest entry's id of each chunk's stream.
        lock: Held while a commit is under way, and by whoever changes what is committed.
    """

    def __init__(self, rt: ShardRuntime) -> None:
        self._rt = rt
        self.lock = asyncio.Lock()
        self._asked = 0
        self._committed = 0
        self.extra: list[Callable[[Batch], None]] = []
        self.last_ids: dict[str, str] = {}

    async def flush(self) -> None:
        """Return when everything applied so far is in the journal.

        To be called in the same turn as what it is to cover, or a reload may have come between.

        Raises:
            WorldReloaded: it could not be committed and had no effect.
            ShardUnavailable: this epoch of the shard has ended; whether it was committed is not known.
        """
        self._asked += 1
        await self._rt.background.to_the_end(self._flush(self._asked, self._rt.generation))

    async def between(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` while everything is committed and no tick or commit can begin.

        Raises:
            WorldReloaded: what was pending could not be committed; ``work`` was not run.
        """
        generation = self._rt.generation
        async with self.lock:
            if self._rt.generation != generation:
                raise WorldReloaded
            # What was applied while a commit was under way must be committed too, or ``work`` would take it away.
            for _ in range(SETTLE_MOST):
                covers = self._asked
                wrote = await self._commit()
                self._committed = covers
                if not wrote:
                    return await work()
            raise WorldReloaded

    def forget(self) -> None:
        """The world is being loaded anew: nothing of the old one is to be written."""
        self.extra.clear()
        self.last_ids.clear()

    async def _flush(self, mine: int, generation: int) -> None:
        async with self.lock:
            if self._rt.generation != generation:
                raise WorldReloaded
            if self._committed >= mine:
                return
            covers = self._asked
            await self._commit()
            self._committed = covers

    async def _commit(self) -> bool:
        """Commit what is pending; False, without having waited for anything, when there was nothing."""
        rt = self._rt
        rt.check_alive()
        try:
            output = rt.world.take()
            batch = self._encode(output)
            if batch:
                began = time.monotonic()
                await rt.journal.commit(batch)
                rt.stats.commit(time.monotonic() - began)
        except CommitRefused as refused:
            log.warning("commit_refused", shard=rt.shard, why=refused.why, lost=refused.lost)
            await rt.reload()
            raise WorldReloaded from refused
        except BaseException as error:
            # Memory is ahead of the journal from here on, so nothing more may come of it.
            raise rt.fail(error) from error
        if rt.journal.stalled_s:
            rt.presence.pause()
            rt.journal.stalled_s = 0.0
        rt.stats.count(output, rt.world.holds)
        log_output(output)
        rt.attend(output)
        return bool(batch)

    def _encode(self, output: Output) -> Batch:
        rt = self._rt
        batch = Batch(tick=rt.tick)
        extra, self.extra = self.extra, []
        # One that was closed in the same turn as it changed has no static any more.
        output.statics = [chunk_id for chunk_id in output.statics if rt.world.holds(chunk_id)]
        encode_output(
            batch,
            output,
            tick=rt.tick,
            ts_ms=now_ms(),
            window_ticks=rt.config.replay_window_ticks,
            last_ids=self.last_ids,
            here=rt.world.agent_ids,
            static=rt.world.chunk_static,
        )
        for add in extra:
            add(batch)
        return batch
