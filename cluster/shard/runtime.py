"""One life of one shard: it owns the clock, applies inputs to the core, and commits what comes of them.

Every input is applied in memory first and answered only after the journal has it, so nobody learns of anything that
a crash could take back.  Commits run one at a time; inputs that arrive while one is under way share the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis

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
from streaming.encode import encode_output
from streaming.journal import Batch, Journal, ReservationLost
from world.ids import AgentId, ServerCmdId
from world.inputs import Decision, Submit
from world.outputs import NeighborWanted, Output, ReleaseWanted, ReserveWanted
from world.recording import RecordedWorld
from world.rules import Rules
from world.shard import ShardWorld

T = TypeVar("T")

SETTLE_MOST = 200

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
        self.errands: set[asyncio.Task[None]] = set()
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
        )
        self.clock.back_to_back_most = self.config.back_to_back_most
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
        ]
        try:
            done, _ = await asyncio.wait([*loops, self._failed], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*loops, *self.errands):
                task.cancel()
            await asyncio.gather(*loops, *self.errands, return_exceptions=True)
            if self.recording is not None:
                self.recording.close()

    async def stop(self) -> None:
        """Commit what is pending and end ``run``."""
        self._stopping = True
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
        decisions = [self._decide(command) for command in commands]
        if any(decision.moved for decision in decisions):
            # One that is told to have moved may stand in our inbox, not seated yet.
            await self.arrivals.seat()
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
        return decision

    def check_open(self) -> None:
        """Refuse new work while the journal stands still, so that it doesn't pile up."""
        since = self.journal.stalled_since
        if self._stopping or (since is not None and time.monotonic() - since > self.config.refuse_after_stall_s):
            raise ShardUnavailable(
                f"shard {self.shard} waits for Redis" if since else f"shard {self.shard} is stopping"
            )

    # -- ticks --

    async def _tick_loop(self) -> None:
        while not self._stopping:
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
        self.departures.ask_again()
        self.stats.tick(time.monotonic() - began, now=time.monotonic())

    # -- commits --

    async def flush(self) -> None:
        """Return when everything applied so far is in the journal.

        Raises:
            WorldReloaded: it could not be committed and had no effect.
        """
        self._asked += 1
        mine, generation = self._asked, self.generation
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
        output = self.world.take()
        batch = Batch(tick=self.tick)
        extra, self.extra = self.extra, []
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
        if batch:
            began = time.monotonic()
            try:
                await self.journal.commit(batch)
            except ReservationLost as lost:
                log.warning("reservation_lost", shard=self.shard, handoffs=lost.handoffs)
                await self.reload()
                raise WorldReloaded from lost
            except Exception as error:
                self._fail(error)
                raise
            self.stats.commit(time.monotonic() - began)
            if self.journal.stalled_s:
                self.presence.pause()
                self.journal.stalled_s = 0.0
        self.stats.count(output, self.world.holds)
        log_output(output)
        self._attend(output)
        return bool(batch)

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

    def errand(self, work: Any) -> None:
        """Run a coroutine beside the ticks; an error in it is logged, and the core asks again in time."""
        task = asyncio.create_task(self._guarded(work))
        self.errands.add(task)
        task.add_done_callback(self.errands.discard)

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except WorldReloaded:
            return
        except ShardUnavailable as error:
            log.info("errand_put_off", shard=self.shard, error=str(error))
        except Exception as error:  # an errand must not take the shard down; a fenced commit has already
            log.error("errand_failed", shard=self.shard, error=repr(error), exc_info=True)

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
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
        """Go back to the last commit: what has been applied since is forgotten."""
        self.generation += 1
        self.stats.reloads += 1
        await self._load_world()

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
