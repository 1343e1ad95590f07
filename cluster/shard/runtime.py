"""One life of one shard: it owns the clock, applies inputs to the core, and commits what comes of them.

Every input is applied in memory first and answered only after the journal has it, so nobody learns of anything that
a crash could take back.  Commits run one at a time; inputs that arrive while one is under way share the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.clock import TickClock
from cluster.graph import WorldInfo, read_world
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from cluster.shard.arrivals import Arrivals
from cluster.shard.config import ShardConfig
from cluster.shard.departures import Departures
from cluster.shard.handover import Handover
from cluster.shard.loading import ChunkLoader
from cluster.shard.neighbors import Neighbors
from cluster.shard.output_log import log_output
from cluster.shard.presence import Presence
from cluster.shard.recording import Recording
from cluster.shard.seating import Seating
from cluster.shard.stats import ShardStats
from streaming.cancellable import end
from streaming.encode import encode_output
from streaming.journal import Batch, CommitRefused, Journal
from world.ids import AgentId, ServerCmdId
from world.inputs import Decision, Submit
from world.outputs import NeighborWanted, Output, ReleaseWanted, ReserveWanted
from world.recording import RecordedWorld
from world.rules import Rules
from world.shard import ShardWorld

T = TypeVar("T")

SETTLE_MOST = 200
RELOAD_PAUSE_S = 0.2

log = structlog.get_logger(__name__)

#: (agent_id, server_cmd_id, client_cmd_id, cmd, trace_id, deadline_ms) as it travels between processes.
CommandTuple = tuple[str, str, str, Any, str, int]

#: (outcome, accepted, reason, retry_after_ms, started_tick); outcome is "decided" or "moved".
DecisionTuple = tuple[str, bool, str | None, int | None, int | None]


class ShardRuntime:
    """The shard's calls and loops.  ``start`` once, then ``run`` until it raises; the calls may come any time after.

    Its parts (``seating``, ``arrivals``, ``departures``, ``neighbors``, ``presence``, ``loader``) each do one thing
    and share ``world``, ``commit`` and ``journal``.
    """

    def __init__(self, redis: Redis, shard: int, rules: Rules, config: ShardConfig, peers: ShardClient) -> None:
        self.redis = redis
        self.shard = shard
        self.rules = rules
        self.config = config
        self.peers = peers
        self.tick = -1
        self.last_ids: dict[str, str] = {}
        self.extra: list[Callable[[Batch], None]] = []
        self.errands: set[asyncio.Task[Any]] = set()
        self.generation = 0
        self.stats = ShardStats()
        self.world: ShardWorld
        self.info: WorldInfo
        self.journal: Journal
        self.clock: TickClock
        self.loader = ChunkLoader(self)
        self.seating = Seating(self)
        self.arrivals = Arrivals(self)
        self.departures = Departures(self)
        self.neighbors = Neighbors(self)
        self.presence = Presence(self)
        self.handover = Handover(self)
        self.recording: Recording | None = None
        self._commit_lock = asyncio.Lock()
        self._asked = 0
        self._committed = 0
        self._stopping = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- life --

    async def start(self) -> None:
        """Take the lease and come back to the last committed tick.

        Raises:
            RuntimeError: no world has been made in this Redis.
        """
        info = await read_world(self.redis)
        if info is None:
            raise RuntimeError("no world in this Redis: `chunkcrawl up` makes it")
        self.info = info
        self.journal, last_tick = await Journal.acquire(self.redis, self.shard)
        seconds, micros = await self.redis.time()
        self.clock = TickClock.start(
            hz=self.config.tick_hz,
            epoch_ms=info.epoch_ms,
            wall_ms=seconds * 1000 + micros / 1000,
            monotonic=time.monotonic(),
            last_tick=last_tick,
            back_to_back_most=self.config.back_to_back_most,
        )
        self.tick = last_tick
        await self._load_world()
        log.info("shard_started", shard=self.shard, epoch=self.journal.epoch, tick=last_tick)

    async def run(self) -> None:
        """The loops of the shard; returns after ``stop``.

        Raises:
            Fenced: another life of this shard has begun; the process must end.
        """
        loops = [
            asyncio.create_task(self._tick_loop(), name="ticks"),
            asyncio.create_task(self.presence.loop(), name="presence"),
            asyncio.create_task(self.loader.loop(), name="adoption"),
        ]
        try:
            done, _ = await asyncio.wait([*loops, self._failed], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end(*loops, *self.errands)
            if self.recording is not None:
                self.recording.close()

    async def stop(self) -> None:
        """Commit what is pending and end ``run``."""
        self._stopping = True
        with contextlib.suppress(WorldReloaded):  # then there is nothing left that is not in the journal
            await self.flush()
        if not self._failed.done():
            self._failed.set_result(None)

    # -- calls from gateways --

    async def submit(self, commands: Sequence[CommandTuple]) -> list[DecisionTuple]:
        """Decide commands in the order given; answers when the decisions are in the journal.

        Raises:
            ShardUnavailable: the journal has been without Redis for too long; nothing was taken.
            WorldReloaded: nothing of it took effect.
        """
        self.check_open()
        generation = self.generation
        decisions = [self._decide(command) for command in commands]
        if any(decision.moved for decision in decisions):
            # One that is told to have moved may stand in our inbox, not seated yet.
            await self.arrivals.seat()
            if self.generation != generation:
                raise WorldReloaded  # what was decided above has been forgotten
            again = zip(commands, decisions, strict=True)
            decisions = [self._decide(command) if decision.moved else decision for command, decision in again]
        await self.flush()
        return [
            ("moved" if d.moved else "decided", d.accepted, d.reason, d.retry_after_ms, d.started_tick)
            for d in decisions
        ]

    def _decide(self, command: CommandTuple) -> Decision:
        agent_id, server_cmd_id, client_cmd_id, cmd, trace_id, deadline_ms = command
        if deadline_ms and time.time() * 1000 > deadline_ms:
            return Decision(accepted=False, reason="busy", moved=True)  # its gateway has given it up by now
        decision: Decision = self.world.apply(
            Submit(AgentId(agent_id), ServerCmdId(server_cmd_id), client_cmd_id, cmd, trace_id)
        )
        if deadline_ms and not decision.moved and not decision.duplicate:
            # The journal may stand still from now until after the deadline.
            self.extra.append(lambda batch: batch.only_if_not_refused(server_cmd_id))
        return decision

    def check_open(self) -> None:
        """Refuse new work while the journal stands still, so that it doesn't pile up."""
        if self._failed.done():
            raise ShardUnavailable(f"shard {self.shard} has ended")
        since = self.journal.stalled_since
        if self._stopping or (since is not None and time.monotonic() - since > self.config.refuse_after_stall_s):
            raise ShardUnavailable(
                f"shard {self.shard} waits for Redis" if since else f"shard {self.shard} is stopping"
            )

    # -- ticks --

    async def _tick_loop(self) -> None:
        while not self._stopping and not self._failed.done():
            now = time.monotonic()
            due = self.clock.next_tick(self.tick, now)
            if due is None:
                await asyncio.sleep(max(0.0, self.clock.begins(self.tick + 1) - now))
                continue
            number, skipped = due
            if skipped:
                self.stats.ticks_skipped += skipped
            await self._run_tick(number)

    async def _run_tick(self, number: int) -> None:
        began = time.monotonic()
        await self.arrivals.seat()
        self.world.step(number)
        self.tick = number
        try:
            await self.flush()
        except WorldReloaded:
            log.warning("tick_undone", shard=self.shard, tick=number)
        except ShardUnavailable:
            return  # this life has ended: ``run`` says why
        self.departures.ask_again()
        self.stats.tick(time.monotonic() - began, now=time.monotonic())

    # -- commits --

    async def flush(self) -> None:
        """Return when everything applied so far is in the journal.

        To be called in the same turn as what it is to cover, or a reload may have come between.

        Raises:
            WorldReloaded: it could not be committed and had no effect.
            ShardUnavailable: this life of the shard has ended; whether it was committed is not known.
        """
        self._asked += 1
        await self.to_the_end(self._flush(self._asked, self.generation))

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``, which goes on when its caller gives up: half a commit must not be left behind."""
        task = asyncio.create_task(work)
        self.errands.add(task)
        task.add_done_callback(self._forget_errand)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise ShardUnavailable(f"shard {self.shard} has ended") from None
            raise

    def _forget_errand(self, task: asyncio.Task[Any]) -> None:
        self.errands.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it has it; nobody may be left

    async def _flush(self, mine: int, generation: int) -> None:
        async with self._commit_lock:
            if self.generation != generation:
                raise WorldReloaded
            if self._committed >= mine:
                return
            covers = self._asked
            await self._commit()
            self._committed = covers

    async def _commit(self) -> bool:
        """Commit what is pending; False, without having waited for anything, when there was nothing."""
        if self._failed.done():
            raise ShardUnavailable(f"shard {self.shard} has ended")
        try:
            output = self.world.take()
            batch = self._encode(output)
            if batch:
                began = time.monotonic()
                await self.journal.commit(batch)
                self.stats.commit(time.monotonic() - began)
        except CommitRefused as refused:
            log.warning("commit_refused", shard=self.shard, why=refused.why, lost=refused.lost)
            await self.reload()
            raise WorldReloaded from refused
        except BaseException as error:
            # Memory is ahead of the journal from here on, so nothing more may come of it.
            self._fail(error)
            raise ShardUnavailable(f"shard {self.shard} has ended: {error}") from error
        if self.journal.stalled_s:
            self.presence.pause()
            self.journal.stalled_s = 0.0
        self.stats.count(output, self.world.holds)
        log_output(output)
        self._attend(output)
        return bool(batch)

    def _encode(self, output: Output) -> Batch:
        batch = Batch(tick=self.tick)
        extra, self.extra = self.extra, []
        # One that was closed in the same turn as it changed has no static any more.
        output.statics = [chunk_id for chunk_id in output.statics if self.world.holds(chunk_id)]
        encode_output(
            batch,
            output,
            tick=self.tick,
            ts_ms=int(time.time() * 1000),
            window_ticks=self.config.replay_window_ticks,
            last_ids=self.last_ids,
            here=self.world.agent_ids,
            static=self.world.chunk_static,
        )
        for add in extra:
            add(batch)
        return batch

    def _attend(self, output: Output) -> None:
        """Begin what the core asks of the outside."""
        reserve: list[ReserveWanted] = []
        for request in output.requests:
            if isinstance(request, ReserveWanted):
                reserve.append(request)
            elif isinstance(request, NeighborWanted):
                self.errand(self.neighbors.make(request.chunk_id, request.direction))
            elif isinstance(request, ReleaseWanted):
                self.errand(self.departures.release(request))
            else:
                self.errand(self.neighbors.collect(request.chunk_id))
        if reserve:
            self.departures.ask(reserve)

    def errand(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine beside the ticks; an error in it is logged, and the core asks again in time."""
        task = asyncio.create_task(self._guarded(work))
        self.errands.add(task)
        task.add_done_callback(self.errands.discard)

    async def _guarded(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except WorldReloaded:
            return
        except ShardUnavailable as error:
            log.info("errand_put_off", shard=self.shard, error=str(error))
        except Exception as error:  # an errand must not take the shard down; a fenced commit has already
            log.error("errand_failed", shard=self.shard, error=repr(error), exc_info=True)

    def _fail(self, error: BaseException) -> None:
        if self._failed.done():
            return
        if isinstance(error, asyncio.CancelledError):
            self._failed.set_result(None)  # ``run`` has ended, or was cancelled itself
        else:
            self._failed.set_exception(error)

    async def between_commits(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` while everything is committed and no tick or commit can begin.

        Raises:
            WorldReloaded: what was pending could not be committed; ``work`` was not run.
        """
        generation = self.generation
        async with self._commit_lock:
            if self.generation != generation:
                raise WorldReloaded
            # What was applied while a commit was under way must be committed too, or ``work`` would take it away.
            for _ in range(SETTLE_MOST):
                covers = self._asked
                wrote = await self._commit()
                self._committed = covers
                if not wrote:
                    return await work()
            raise WorldReloaded

    # -- state --

    async def _load_world(self) -> None:
        self.generation += 1
        self.world = self._new_world()
        self.last_ids.clear()
        self.extra.clear()
        self.arrivals.forget()
        self.departures.forget()
        await self.loader.load_owned()

    def _new_world(self) -> ShardWorld:
        """An empty world; with a recording of what it is told, one file per life and reload."""
        if self.recording is not None:
            self.recording.close()
            self.recording = None
        if not self.config.record_dir:
            return ShardWorld(self.rules, self.info.seed, self.shard)
        name = f"shard-{self.shard}-{self.journal.epoch}-{self.generation}.jsonl"
        self.recording = Recording(Path(self.config.record_dir) / name)
        world = RecordedWorld(self.rules, self.info.seed, self.shard, self.recording.write)
        self.recording.closing = world.close
        return world

    async def reload(self) -> None:
        """Go back to the last commit: what has been applied since is forgotten.  With the commit lock held.

        Waits for Redis as long as it takes, for a world that is loaded in part must not go on.

        Raises:
            ShardUnavailable: the lease is somebody else's; this life has ended.
        """
        self.generation += 1
        self.stats.reloads += 1
        while True:
            try:
                # First, so that nothing sent before runs after the look at what there is.
                await self.journal.renew()
                await self._load_world()
                return
            except (RedisError, ConnectionError, TimeoutError) as error:
                log.warning("reload_tried_again", shard=self.shard, error=repr(error))
                await asyncio.sleep(RELOAD_PAUSE_S)
            except BaseException as error:
                self._fail(error)
                raise ShardUnavailable(f"shard {self.shard} has ended: {error}") from error

    def describe(self) -> dict[str, Any]:
        """Figures for status, metrics and readiness."""
        age = time.monotonic() - self.stats.last_tick_at if self.stats.last_tick_at else None
        return {
            "shard": self.shard,
            "epoch": self.journal.epoch,
            "tick": self.tick,
            "last_tick_age_s": age,
            "stalled": self.journal.stalled_since is not None,
            "chunks": len(self.world.chunk_ids),
            "agents": len(self.world.agent_ids),
            "reserved_cells": len(self.arrivals),
            **self.stats.describe(),
        }
