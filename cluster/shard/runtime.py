"""One epoch of one shard: it owns the clock, applies inputs to the core, and commits what comes of them.

Every input is applied in memory first and answered only after the journal has it (``cluster.shard.commits``), so nobody
learns of anything that a crash could take back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.graph import WorldInfo, read_world
from cluster.messages import (
    CellAnswer,
    CellRelease,
    CellRequest,
    JoinAnswer,
    JoinRequest,
    ShardCommand,
    ShardDecision,
    ShardHealth,
    ShardLoad,
)
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from cluster.shard.arrivals import Arrivals
from cluster.shard.commits import Commits
from cluster.shard.config import ShardConfig
from cluster.shard.departures import Departures
from cluster.shard.freezing import Freezing
from cluster.shard.handover import Handover
from cluster.shard.loading import ChunkLoader
from cluster.shard.memory import ShardMemory
from cluster.shard.neighbors import NeighborLinks
from cluster.shard.presence import Presence
from cluster.shard.reservations import Reservations
from cluster.shard.seating import Seating
from cluster.shard.shard_epoch import ShardEpoch
from cluster.shard.shard_tasks import ShardTasks
from cluster.shard.stats import ShardStats, newest_p99_ms
from cluster.shard.submissions import Submissions
from cluster.stored_format import refuse_newer
from cluster.tick_clock import TickClock, phase_of
from streaming import keys
from streaming.connect import as_text
from streaming.direct_redis import DirectRedis
from streaming.journal import Journal
from streaming.shared_clock import SHARED, now_ms
from world.outputs import NeighborWanted, Output, ReleaseWanted, ReserveWanted
from world.rules import Rules
from world.shard import ShardWorld

RELOAD_PAUSE_S: Final = 0.2

log = structlog.get_logger(__name__)


class ShardRuntime:
    """The shard's loops, and the calls of ``cluster.peers.Shard``.

    Made by ``start``; then ``run`` once, until it raises.  The calls may come any time.

    Here its parts are put together.  Each does one thing and knows the parts that it is given: those further down know
    those further up, never the other way.
    """

    def __init__(
        self,
        redis: Redis,
        memory: ShardMemory,
        journal: Journal,
        clock: TickClock,
        config: ShardConfig,
        peers: ShardClient,
        direct: Redis | DirectRedis,
    ) -> None:
        self._redis = redis
        self.shard = memory.shard
        self.memory = memory
        self.journal = journal
        self._clock = clock
        self.stats = ShardStats()
        self.background = tasks = ShardTasks(memory.shard)
        self.epoch = ShardEpoch(memory.shard, journal, refuse_after_stall_s=config.refuse_after_stall_s)
        self.commits = commits = Commits(
            memory,
            journal,
            self.epoch,
            tasks,
            self.stats,
            window_ticks=config.replay_window_ticks,
            reload=self.reload,
            committed=self._committed,
        )
        self.reservations = Reservations(memory)
        self.loader = ChunkLoader(
            redis, memory, self.reservations, commits.next, clock, adopt_interval_s=config.adopt_interval_s
        )
        self.arrivals = Arrivals(
            direct,
            memory,
            self.epoch,
            self.reservations,
            self.loader,
            commits,
            tasks,
            ttl_s=config.reservation_ttl_s,
        )
        self.submissions = Submissions(memory, self.epoch, self.arrivals, commits, self.stats)
        self.seating = Seating(redis, memory, self.epoch, self.loader, self.arrivals, commits)
        self.neighbors = NeighborLinks(redis, memory, journal, self.loader, commits, tasks, peers)
        self.departures = Departures(
            direct,
            memory,
            self.arrivals,
            self.neighbors,
            tasks,
            peers,
            reserve_timeout_s=config.reserve_timeout_s,
            grant_usable_s=config.grant_usable_s,
        )
        self.presence = Presence(
            redis,
            memory,
            self.seating,
            commits,
            interval_s=config.presence_interval_s,
            pause_s=config.presence_pause_after_stall_s,
        )
        self.handover = Handover(
            redis,
            memory,
            journal,
            clock,
            self.reservations,
            self.loader,
            commits,
            tasks,
            peers,
            reload=self.reload,
        )

        self.freezing = Freezing(
            redis,
            memory,
            self.epoch,
            self.loader,
            self.handover,
            self.presence,
            interval_s=config.freeze_interval_s,
        )

    @property
    def world(self) -> ShardWorld:
        """The world as it is now: a reload puts another in its place."""
        return self.memory.world

    @property
    def tick(self) -> int:
        """Number of the last tick that was run; -1: none yet."""
        return self.memory.tick

    # -- start and stop --

    @classmethod
    async def start(
        cls,
        redis: Redis,
        shard: int,
        rules: Rules,
        config: ShardConfig,
        peers: ShardClient,
        direct: DirectRedis | None = None,
    ) -> ShardRuntime:
        """Take the shard's lease and come back to the last committed tick.

        Args:
            direct: What runs the commits and what is asked in every tick; by default ``redis``.

        Raises:
            RuntimeError: no world has been made in this Redis.
            NewerWorld: a newer release has written it; the lease stays whose it is.
        """
        info = await read_world(redis)
        if info is None:
            raise RuntimeError("no world in this Redis: `chunkcrawl up` makes it")
        refuse_newer(info.format)
        journal, last_tick = await Journal.acquire(direct or redis, shard)
        await SHARED.read(redis)
        memory = ShardMemory(
            shard, rules, info.seed, tick=last_tick, record_dir=config.record_dir, pace=config.recordings
        )
        runtime = cls(
            redis, memory, journal, start_clock(info, config, shard, last_tick), config, peers, direct or redis
        )
        await runtime._load_world()
        await runtime.freezing.look()
        log.info("shard_started", shard=shard, epoch=journal.epoch, tick=last_tick)
        return runtime

    async def run(self) -> None:
        """Run the loops of the shard until ``stop``.

        Raises:
            Fenced: another epoch of this shard has begun; the process must end.
        """
        loops = [
            asyncio.create_task(self._tick_loop(), name="ticks"),
            asyncio.create_task(self.presence.loop(), name="presence"),
            asyncio.create_task(self.loader.loop(), name="adoption"),
            asyncio.create_task(self.freezing.loop(), name="freezing"),
            asyncio.create_task(SHARED.keep(self._redis), name="clock"),
        ]
        try:
            done, _ = await asyncio.wait([*loops, self.epoch.ended], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self.background.end(*loops)
            self.memory.close()

    async def stop(self) -> None:
        """Commit what is pending and end ``run``."""
        self.epoch.stopping = True
        try:
            with contextlib.suppress(WorldReloaded):  # then there is nothing left that is not in the journal
                await self.commits.flush()
        finally:
            self.epoch.end()

    # -- calls: see ``cluster.peers.Shard`` --

    async def submit(self, commands: Sequence[ShardCommand]) -> list[ShardDecision]:
        """See ``Submissions.submit``."""
        return await self.submissions.submit(commands)

    async def join(self, joins: Sequence[JoinRequest]) -> list[JoinAnswer]:
        """See ``Seating.join``."""
        return await self.seating.join(joins)

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        """See ``Arrivals.reserve``."""
        return await self.arrivals.reserve(requests)

    async def release(self, releases: Sequence[CellRelease]) -> None:
        """See ``Arrivals.release``."""
        await self.arrivals.release(releases)

    async def refresh(self, chunk_ids: Sequence[str]) -> None:
        """See ``NeighborLinks.refresh``."""
        await self.neighbors.refresh(chunk_ids)

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        """See ``Handover.give``."""
        return await self.handover.give(chunk_id, to_shard)

    async def load(self, chunk_ids: Sequence[str]) -> list[bool]:
        """See ``ChunkLoader.load``."""
        return await self.loader.load(chunk_ids)

    async def health(self) -> ShardHealth:
        """See ``Shard.health``."""
        age_s = 0.0 if self.epoch.frozen else self._last_tick_age_s()  # frozen is no fault
        return ShardHealth(self.journal.stalled_since is not None, age_s)

    # -- ticks --

    async def _tick_loop(self) -> None:
        thawing = False
        while not self.epoch.stopping and not self.epoch.ended.done():
            now = time.monotonic()
            due = self._clock.next_tick(self.tick, now)
            if due is None:
                await asyncio.sleep(max(0.0, self._clock.begins(self.tick + 1) - now))
                continue
            number, skipped = due
            if self.epoch.frozen:
                thawing = True
                await asyncio.sleep(1 / self._clock.hz)
                continue
            if not thawing:  # else it is not late: nobody was to run it
                self.stats.tick_lags.append(now - self._clock.begins(number))
                self.stats.ticks_skipped += skipped
            thawing = False
            await self._run_tick(number)
        # Not before the last commit, which would end with the loops: only ``stop`` knows when it is over.
        await asyncio.wait([self.epoch.ended])

    async def _run_tick(self, number: int) -> None:
        began = time.monotonic()
        await self.arrivals.seat()
        stepping = time.perf_counter_ns()
        self.world.step(number)
        stepped_ns = time.perf_counter_ns() - stepping
        self.stats.costs.stepped(stepped_ns)
        if self.commits.spans is not None:
            self.commits.spans.stepped(stepped_ns)
        self.memory.tick = number
        try:
            await self.commits.flush()
        except WorldReloaded:
            log.warning("tick_undone", shard=self.shard, tick=number)
        except ShardUnavailable:
            return  # this epoch has ended: ``run`` says why
        self.departures.ask_again()
        self.stats.tick(time.monotonic() - began, now=time.monotonic())
        self.stats.costs.roll(time.perf_counter_ns(), time.process_time_ns, self.world.holds)

    # -- for the commits --

    def _committed(self, output: Output) -> None:
        """Begin what the core has asked for in an output that is committed now."""
        if self.journal.stalled_s:
            self.presence.pause()
            self.journal.stalled_s = 0.0
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

    async def reload(self) -> None:
        """Go back to the last commit: what has been applied since is forgotten.  With the commit lock held.

        Waits for Redis as long as it takes, for a world that is loaded in part must not go on.

        Raises:
            ShardUnavailable: the lease is somebody else's; this epoch has ended.
        """
        self.memory.outdate()
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
                raise self.epoch.fail(error) from error

    async def _load_world(self) -> None:
        recorded = await self._redis.hget(keys.shard(self.shard), "recorded")
        self.memory.begin_anew(self.journal.epoch, as_text(recorded or ""))
        self.commits.next.forget()
        self.reservations.forget()
        self.departures.forget()
        await self.loader.load_owned()

    # -- state --

    def describe(self) -> dict[str, Any]:
        """Return figures for status."""
        return {
            "shard": self.shard,
            "epoch": self.journal.epoch,
            "tick": self.tick,
            "last_tick_age_s": self._last_tick_age_s(),
            "stalled": self.journal.stalled_since is not None,
            "chunks": len(self.world.chunk_ids),
            "agents": len(self.world.agent_ids),
            "reserved_cells": len(self.reservations),
            "frozen": self.epoch.frozen,
            **self.stats.describe(),
        }

    def load_report(self) -> ShardLoad:
        """Return what the shard carries, for whoever balances."""
        stats, world = self.stats, self.world
        costliest, rest_us = stats.costs.costliest(world.population_of)
        return ShardLoad(
            shard=self.shard,
            age_s=round(stats.costs.age_s(time.perf_counter_ns()), 1),
            cpu=round(stats.costs.cpu, 4),
            tick_p99_ms=newest_p99_ms(stats.tick_times),
            lag_p99_ms=newest_p99_ms(stats.tick_lags),
            ticks_skipped=stats.ticks_skipped,
            chunks=len(world.chunk_ids),
            agents=world.population,
            costliest=costliest,
            rest_us=rest_us,
        )

    def _last_tick_age_s(self) -> float | None:
        return time.monotonic() - self.stats.last_tick_at if self.stats.last_tick_at else None


def start_clock(info: WorldInfo, config: ShardConfig, shard: int, last_tick: int) -> TickClock:
    """Return the world's clock for a shard, with its phase, whose last committed tick was ``last_tick``."""
    return TickClock.start(
        hz=config.tick_hz,
        epoch_ms=info.epoch_ms,
        wall_ms=now_ms(),
        monotonic=time.monotonic(),
        last_tick=last_tick,
        back_to_back_most=config.back_to_back_most,
        phase=phase_of(shard),
    )
