"""A shard's commits: what has been applied to the core is taken, encoded and written, one commit at a time.

Inputs that arrive while a commit is under way share the next, and under load a decision waits for others for some
milliseconds (``cluster.shard.gathering``).  Where nothing of a commit may be written, the shard goes
back to the last one (``ShardRuntime.reload``), and whoever waits for it is told so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard.command_spans import CommandSpans
from cluster.shard.gathering import Gathering
from cluster.shard.memory import ShardMemory
from cluster.shard.next_commit import NextCommit
from cluster.shard.output_log import log_output
from cluster.shard.shard_epoch import ShardEpoch
from cluster.shard.shard_tasks import ShardTasks
from cluster.shard.stats import ShardStats
from streaming.journal import CommitRefused, Journal
from streaming.shared_clock import now_ms
from world.outputs import Output

T = TypeVar("T")

#: Somebody who waits for a commit: the generation of the world that it is about, and what tells its end.
Waiting = tuple[int, "asyncio.Future[None]"]

SETTLE_MOST: Final = 200

log = structlog.get_logger(__name__)


class Commits:
    """The commits of one epoch of a shard.

    Args:
        window_ticks: How far back a chunk's stream is kept.
        reload: Goes back to the last commit, with the lock held.
        committed: Is told of each output that the journal has, at once.
    """

    def __init__(
        self,
        memory: ShardMemory,
        journal: Journal,
        epoch: ShardEpoch,
        tasks: ShardTasks,
        stats: ShardStats,
        *,
        window_ticks: int,
        reload: Callable[[], Awaitable[None]],
        committed: Callable[[Output], None],
    ) -> None:
        self._memory = memory
        self._journal = journal
        self._epoch = epoch
        self._tasks = tasks
        self._stats = stats
        self._window_ticks = window_ticks
        self._reload = reload
        self._tell = committed
        #: What the next commit holds besides the core's output.
        self.next = NextCommit()
        #: Held while a commit is under way, and by whoever changes what is committed.
        self.lock = asyncio.Lock()
        self._gathering = Gathering()
        #: Makes the spans of sampled commands; None: there are none.
        self.spans: CommandSpans | None = None
        self._asked = 0
        self._committed = 0
        #: Who waits for the next commit, and when it is to begin (by the loop's clock); None: nobody has asked for one.
        self._waiting: list[Waiting] = []
        self._planned: float | None = None

    @property
    def waiting(self) -> int:
        """How many calls of ``flush`` and ``gather`` were not committed yet, when the last commit ended."""
        return self._asked - self._committed

    async def flush(self) -> None:
        """Return when everything applied so far is in the journal.

        To be called in the same turn as what it is to cover, or a reload may have come between.

        Raises:
            WorldReloaded: it could not be committed and had no effect.
            ShardUnavailable: this epoch of the shard has ended; whether it was committed is not known.
        """
        await self._covered(0.0)

    async def gather(self, decisions: int) -> None:
        """Return as ``flush`` does, but under load wait a little first, so that others share the commit.

        Args:
            decisions: how many wait for it here.
        """
        now = time.monotonic()
        self._gathering.note(decisions, now)
        await self._covered(self._gathering.wait_s(now))

    async def between(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` while everything is committed and no tick or commit can begin.

        Raises:
            WorldReloaded: what was pending could not be committed; ``work`` was not run.
        """
        generation = self._memory.generation
        async with self.lock:
            if self._memory.generation != generation:
                raise WorldReloaded
            # What was applied while a commit was under way must be committed too, or ``work`` would take it away.
            for _ in range(SETTLE_MOST):
                if not await self._commit_for_all():
                    return await work()
            raise WorldReloaded

    # -- one commit for all who wait --

    def _covered(self, wait_s: float) -> asyncio.Future[None]:
        """Have what has been applied so far committed, in ``wait_s`` at the latest; return what tells its end.

        Whoever gives up waiting takes nothing back: the commit has a task of its own.
        """
        loop = asyncio.get_running_loop()
        self._asked += 1
        covered = loop.create_future()
        self._waiting.append((self._memory.generation, covered))
        due = loop.time() + wait_s
        if self._planned is None or due < self._planned:
            self._planned = due
            self._tasks.start(self._commit_at(due, wait_s)).add_done_callback(self._told_of_the_end)
        return covered

    def _told_of_the_end(self, task: asyncio.Task[None]) -> None:
        """Tell whoever waits that no commit comes any more, if its task was cancelled."""
        if task.cancelled():
            self._tell_waiting(self._take_waiting(), ShardUnavailable, f"shard {self._memory.shard} has ended")

    async def _commit_at(self, due: float, wait_s: float) -> None:
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if self._planned != due:
            return  # somebody could not wait as long, and whoever waited had the same commit
        async with self.lock:
            if self._planned == due:
                await self._commit_for_all()

    async def _commit_for_all(self) -> bool:
        """Commit what is pending, with the lock held, and tell all who wait; returns what ``_commit`` does."""
        covers, generation = self._asked, self._memory.generation
        waiting = self._take_waiting()
        self._tell_waiting([one for one in waiting if one[0] != generation], WorldReloaded)
        try:
            wrote = await self._commit()
        except (WorldReloaded, ShardUnavailable) as error:
            self._tell_waiting(waiting, type(error), *error.args)
            raise
        except Exception as error:  # a bug beside the commit: nobody may wait for ever, nor the shard go on with it
            failed = self._epoch.fail(error)
            self._tell_waiting(waiting, ShardUnavailable, *failed.args)
            raise failed from error
        self._committed = covers
        self._tell_waiting(waiting)
        return wrote

    def _take_waiting(self) -> list[Waiting]:
        waiting, self._waiting, self._planned = self._waiting, [], None
        return waiting

    def _tell_waiting(self, waiting: list[Waiting], error: type[Exception] | None = None, *args: object) -> None:
        for _, covered in waiting:
            if covered.done():
                continue
            if error is None:
                covered.set_result(None)
            else:
                covered.set_exception(error(*args))

    async def _commit(self) -> bool:
        """Commit what is pending; False, without having waited for anything, when there was nothing."""
        self._epoch.check_alive()
        memory, stats = self._memory, self._stats
        began_ns = 0 if self.spans is None else self.spans.now_ns()
        try:
            encoding = time.perf_counter_ns()
            output = memory.world.take()
            batch = self.next.take(
                output, memory.world, tick=memory.tick, ts_ms=now_ms(), window_ticks=self._window_ticks
            )
            if batch:
                if (entry := memory.entry(output)) is not None:
                    batch.recorded(entry.shard, entry.position, entry.data)
                encode_ns = time.perf_counter_ns() - encoding
                began = time.monotonic()
                self._gathering.began(began)
                await self._journal.commit(batch)
                took_s = time.monotonic() - began
                stats.commit(took_s)
                stats.costs.committed(output, batch.chunk_bytes, encode_ns=encode_ns, commit_ns=int(took_s * 1e9))
        except CommitRefused as refused:
            log.warning("commit_refused", shard=memory.shard, why=refused.why, lost=refused.lost)
            await self._reload()
            raise WorldReloaded from refused
        except BaseException as error:
            # Memory is ahead of the journal from here on, so nothing more may come of it.
            raise self._epoch.fail(error) from error
        if self.spans is not None:
            self.spans.committed(output.private, began_ns)
        stats.count(output, memory.world.holds)
        log_output(output)
        self._tell(output)
        return bool(batch)
