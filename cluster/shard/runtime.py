"""One epoch of one shard: it owns the clock, applies inputs to the core, and commits what comes of them.

Every input is applied in memory first and answered only after the journal has it (``cluster.shard.commits``), so nobody
learns of anything that a crash could take back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.graph import WorldInfo, read_world
from cluster.messages import CellAnswer, CellRelease, CellRequest, JoinAnswer, ShardCommand, ShardDecision, ShardHealth
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from cluster.shard.arrivals import Arrivals
from cluster.shard.commits import Commits
from cluster.shard.config import ShardConfig
from cluster.shard.departures import Departures
from cluster.shard.handover import Handover
from cluster.shard.loading import ChunkLoader
from cluster.shard.neighbors import NeighborLinks
from cluster.shard.presence import Presence
from cluster.shard.recording import Recording
from cluster.shard.seating import Seating
from cluster.shard.shard_tasks import ShardTasks
from cluster.shard.stats import ShardStats
from cluster.tick_clock import TickClock
from streaming.journal import Journal
from streaming.shared_clock import SHARED, now_ms
from world.inputs import Decision, Submit
from world.outputs import NeighborWanted, Output, ReleaseWanted, ReserveWanted
from world.recording import RecordedWorld
from world.rules import Rules
from world.shard import ShardWorld

RELOAD_PAUSE_S = 0.2

log = structlog.get_logger(__name__)


class ShardRuntime:
    """The shard's calls and loops.  ``start`` once, then ``run`` until it raises; the calls may come any time after.

    Its parts (``commits``, ``background``, ``seating``, ``arrivals``, ``departures``, ``neighbors``, ``presence``,
    ``loader``, ``handover``) each do one thing and share ``world`` and ``journal``.
    """

    def __init__(self, redis: Redis, shard: int, rules: Rules, config: ShardConfig, peers: ShardClient) -> None:
        self.redis = redis
        self.shard = shard
        self.rules = rules
        self.config = config
        self.peers = peers
        self.tick = -1
        self.background = ShardTasks(shard)
        self.commits = Commits(self)
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
        self.neighbors = NeighborLinks(self)
        self.presence = Presence(self)
        self.handover = Handover(self)
        self.recording: Recording | None = None
        self._stopping = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- start and stop --

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
        await SHARED.read(self.redis)
        self.clock = TickClock.start(
            hz=self.config.tick_hz,
            epoch_ms=info.epoch_ms,
            wall_ms=now_ms(),
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
            Fenced: another epoch of this shard has begun; the process must end.
        """
        loops = [
            asyncio.create_task(self._tick_loop(), name="ticks"),
            asyncio.create_task(self.presence.loop(), name="presence"),
            asyncio.create_task(self.loader.loop(), name="adoption"),
            asyncio.create_task(SHARED.keep(self.redis), name="clock"),
        ]
        try:
            done, _ = await asyncio.wait([*loops, self._failed], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self.background.end(*loops)
            if self.recording is not None:
                self.recording.close()

    async def stop(self) -> None:
        """Commit what is pending and end ``run``."""
        self._stopping = True
        try:
            with contextlib.suppress(WorldReloaded):  # then there is nothing left that is not in the journal
                await self.commits.flush()
        finally:
            if not self._failed.done():
                self._failed.set_result(None)

    # -- calls from gateways --

    async def submit(self, commands: Sequence[ShardCommand]) -> list[ShardDecision]:
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
        await self.commits.flush()
        return [ShardDecision(d.accepted, d.reason, d.retry_after_ms, d.started_tick, d.moved) for d in decisions]

    def _decide(self, command: ShardCommand) -> Decision:
        server_cmd_id, deadline_ms = command.server_cmd_id, command.deadline_ms
        if deadline_ms and now_ms() > deadline_ms:
            return Decision(accepted=False, reason="busy", moved=True)  # its gateway has given it up by now
        decision: Decision = self.world.apply(
            Submit(command.agent_id, server_cmd_id, command.client_cmd_id, command.cmd, command.trace_id)
        )
        if deadline_ms and not decision.moved and not decision.duplicate:
            # The journal may stand still from now until after the deadline.
            self.commits.extra.append(lambda batch: batch.only_if_not_refused(server_cmd_id, deadline_ms))
        return decision

    async def join(self, agent_id: str, chunk_id: str) -> JoinAnswer:
        """``Seating.join``."""
        return await self.seating.join(agent_id, chunk_id)

    # -- calls from other shards and the coordinator --

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        """``Arrivals.reserve``."""
        return await self.arrivals.reserve(requests)

    async def release(self, releases: Sequence[CellRelease]) -> None:
        """``Arrivals.release``."""
        await self.arrivals.release(releases)

    async def refresh(self, chunk_ids: Sequence[str]) -> None:
        """``NeighborLinks.refresh``."""
        await self.neighbors.refresh(chunk_ids)

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        """``Handover.give``."""
        return await self.handover.give(chunk_id, to_shard)

    async def load(self, chunk_ids: Sequence[str]) -> list[bool]:
        """``ChunkLoader.load``."""
        return await self.loader.load(chunk_ids)

    async def health(self) -> ShardHealth:
        """Whether this shard waits for Redis, and how long ago its last tick was."""
        return ShardHealth(self.journal.stalled_since is not None, self._last_tick_age_s())

    def check_open(self) -> None:
        """Refuse new work while the journal stands still, so that it doesn't pile up."""
        self.check_alive()
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
        # Not before the last commit, which would end with the loops: only ``stop`` knows when it is over.
        await asyncio.wait([self._failed])

    async def _run_tick(self, number: int) -> None:
        began = time.monotonic()
        await self.arrivals.seat()
        self.world.step(number)
        self.tick = number
        try:
            await self.commits.flush()
        except WorldReloaded:
            log.warning("tick_undone", shard=self.shard, tick=number)
        except ShardUnavailable:
            return  # this epoch has ended: ``run`` says why
        self.departures.ask_again()
        self.stats.tick(time.monotonic() - began, now=time.monotonic())

    # -- for the commits --

    def attend(self, output: Output) -> None:
        """Begin what the core asks of the outside."""
        reserve: list[ReserveWanted] = []
        for request in output.requests:
            if isinstance(request, ReserveWanted):
                reserve.append(request)
            elif isinstance(request, NeighborWanted):
                self.background.begin(self.neighbors.make(request.chunk_id, request.direction))
            elif isinstance(request, ReleaseWanted):
                self.background.begin(self.departures.release(request))
            else:
                self.background.begin(self.neighbors.collect(request.chunk_id))
        if reserve:
            self.departures.ask(reserve)

    def check_alive(self) -> None:
        """Raise ``ShardUnavailable`` when this epoch has ended."""
        if self._failed.done():
            raise ShardUnavailable(f"shard {self.shard} has ended")

    def fail(self, error: BaseException) -> ShardUnavailable:
        """End this epoch: ``run`` raises ``error``.  Returns what to raise to whoever waits."""
        if not self._failed.done():
            if isinstance(error, asyncio.CancelledError):
                self._failed.set_result(None)  # ``run`` has ended, or was cancelled itself
            else:
                self._failed.set_exception(error)
        return ShardUnavailable(f"shard {self.shard} has ended: {error}")

    # -- state --

    async def _load_world(self) -> None:
        self.generation += 1
        self.world = self._new_world()
        self.commits.forget()
        self.arrivals.forget()
        self.departures.forget()
        await self.loader.load_owned()

    def _new_world(self) -> ShardWorld:
        """An empty world; with a recording of what it is told, one file per epoch and reload."""
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
            ShardUnavailable: the lease is somebody else's; this epoch has ended.
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
                raise self.fail(error) from error

    def describe(self) -> dict[str, Any]:
        """Figures for status, metrics and readiness."""
        return {
            "shard": self.shard,
            "epoch": self.journal.epoch,
            "tick": self.tick,
            "last_tick_age_s": self._last_tick_age_s(),
            "stalled": self.journal.stalled_since is not None,
            "chunks": len(self.world.chunk_ids),
            "agents": len(self.world.agent_ids),
            "reserved_cells": len(self.arrivals),
            **self.stats.describe(),
        }

    def _last_tick_age_s(self) -> float | None:
        return time.monotonic() - self.stats.last_tick_at if self.stats.last_tick_at else None
