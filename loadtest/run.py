"""A load test from its start to its report: the driver.  It plans, gives orders, adds up, and ends in order.

    join ─► measure ─► wait for what still runs ─► compare with the server ─► leave

An interrupt (Ctrl-C, SIGTERM, a terminal that closes) goes on with the third step at once, so that there is a report
of what there is; a second one with the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, Final

import httpx

from chunkcrawl.errors import NotReady, ServerUnreachable
from chunkcrawl.transport.proxies import http_client, proxy_for, unreachable
from loadtest.conditions import Condition
from loadtest.find_limit import find_limit
from loadtest.interrupts import Interrupts
from loadtest.limits import FigureLimit
from loadtest.losses import event_log_counters, event_log_counts
from loadtest.mailbox import Orders
from loadtest.plan import Plan
from loadtest.ray_generators import LoadCluster, RayGenerators
from loadtest.report import Facts, build
from loadtest.screen import LoadScreen
from loadtest.server_counts import compare, counts_of
from loadtest.server_page import MetricsPages, ServerPage
from loadtest.server_watch import ServerWatch
from loadtest.totals import Totals

__all__ = ["Driver", "Runner", "run_load", "run_search"]

POLL_S: Final = 0.5
#: Seconds between the order to measure and the first that counts, so that every generator has heard it before.
LEAD_S: Final = 2

#: How long commands that still run are waited for after an interrupt.
HURRY_S: Final = 5.0

#: The server's page may be older than the newest count by its cache.
METRICS_AGE_S: Final = 2.5
#: How long the event log may take to have everything.
EVENT_LOG_WAIT_S: Final = 10.0

LEAVE_TIMEOUT_S: Final = 20.0
CHECK_TIMEOUT_S: Final = 10.0

#: How long agents that have left may stand in the world; the next run of a search waits for them to be gone.
GONE_WITHIN_S: Final = 40.0


async def run_load(
    plan: Plan,
    screen: LoadScreen,
    *,
    tasks: int | None,
    address: str | None,
    limits: Sequence[FigureLimit] = (),
    metrics_token: str | None = None,
) -> dict[str, Any]:
    """Run the plan and return its report.

    Args:
        tasks: How many generators, None for as many as fit.
        address: The Ray cluster to run in; None for one of our own, for this run alone.

    Raises:
        ServerUnreachable, NotReady: There is no server to be tested.
        GeneratorsError: The generators could not be started, or all failed before anything was measured.
        ConnectionError: The Ray cluster can't be joined.
    """
    async with _runner(plan, screen, tasks, address, metrics_token) as runner:
        return await runner.run(plan, limits)


async def run_search(
    plan: Plan,
    screen: LoadScreen,
    condition: Condition,
    *,
    most: int,
    tasks: int | None,
    address: str | None,
    metrics_token: str | None = None,
) -> dict[str, Any]:
    """Find the largest number of agents for which ``condition`` holds; see ``loadtest.find_limit`` for the report.

    Args:
        most: The largest number that may be tried.

    Raises as ``run_load``, which has the other arguments too.
    """
    async with _runner(plan, screen, tasks, address, metrics_token) as runner:
        return await find_limit(plan, condition, most, runner.run_after_the_last, screen.say)


@contextlib.asynccontextmanager
async def _runner(
    plan: Plan, screen: LoadScreen, tasks: int | None, address: str | None, metrics_token: str | None
) -> AsyncIterator[Runner]:
    await _check_server(plan.base)
    screen.say("Starting Ray ..." if address is None else f"Joining Ray at {address} ...")
    # In this very thread, though it blocks: Ray's processes get a signal when the thread that started them ends.
    cluster = LoadCluster.start(tasks=tasks, address=address)
    interrupts = Interrupts(screen.say)
    try:
        async with MetricsPages(plan.base, metrics_token) as pages:
            with interrupts.listening():
                yield Runner(screen, cluster, interrupts, pages, tasks=tasks, address=address)
    finally:
        await cluster.stop()


class Runner:
    """Carries plans out, one after the other, in one Ray cluster."""

    def __init__(
        self,
        screen: LoadScreen,
        cluster: LoadCluster,
        interrupts: Interrupts,
        pages: MetricsPages,
        *,
        tasks: int | None,
        address: str | None,
    ) -> None:
        self._screen, self._cluster, self._interrupts, self._pages = screen, cluster, interrupts, pages
        self._tasks, self._address = tasks, address
        #: How many agents stood in the world before the first run; None before it.
        self._at_first: float | None = None
        self._ran = False

    async def run(self, plan: Plan, limits: Sequence[FigureLimit] = ()) -> dict[str, Any]:
        """Carry one out and return its report.  Raises ``GeneratorsError``."""
        began = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self._screen.plan = plan
        generators = self._cluster.launch(plan, self._tasks)
        driver = Driver(plan, self._screen, generators, Facts(began, self._address), self._interrupts, self._pages)
        try:
            await driver.run()
        finally:
            await generators.stop()
        self._ran = True
        return build(plan, driver.totals, driver.facts, limits)

    async def run_after_the_last(self, plan: Plan) -> dict[str, Any] | None:
        """Carry one out when nothing of the one before is left; None, without it, after an interrupt meanwhile."""
        await self.settle()
        return None if self._interrupts.count else await self.run(plan)

    async def settle(self) -> None:
        """Wait until the agents of the last run are out of the world, for they would be in the next one's way."""
        watch = ServerWatch(self._pages, lambda: None)
        page = await watch.look()
        if not self._ran:
            self._at_first = None if page is None else page.total("active_agents")
            return
        self._screen.say("Waiting for the last run's agents to leave the world ...")
        loop = asyncio.get_running_loop()
        end = loop.time() + GONE_WITHIN_S
        while loop.time() < end and not self._interrupts.count:
            if page is not None and self._at_first is not None and page.total("active_agents") <= self._at_first:
                return
            await asyncio.sleep(POLL_S if page is None else METRICS_AGE_S)
            page = None if page is None else await watch.look()


class Driver:
    """One run: plans, gives orders, adds up, and ends in order."""

    def __init__(
        self,
        plan: Plan,
        screen: LoadScreen,
        generators: RayGenerators,
        facts: Facts,
        interrupts: Interrupts,
        pages: MetricsPages,
    ) -> None:
        self.plan, self.screen, self.generators, self.facts = plan, screen, generators, facts
        self.totals = Totals(generators.tasks)
        self.orders = Orders()
        self.watch = ServerWatch(pages, self._second_now)
        self._interrupts = interrupts
        #: When second 0 of the run began, by the event loop's clock; None before the first sample.
        self._began_at: float | None = None

    async def run(self) -> None:
        """Drive the run until all generators have left."""
        before = await self.watch.look()
        self.screen.say(f"Starting {self.generators.tasks} generators ...")
        while not await self.generators.all_here():
            if self._interrupted:
                return
            await asyncio.sleep(POLL_S / 5)
        self.watch.start()
        try:
            with self.screen:
                await self._play()
        finally:
            await self.watch.stop()
        await self._compare(before)
        await self._order(leave=True)
        await self.generators.ended(LEAVE_TIMEOUT_S)
        await self._take()
        self.facts.failures = self.generators.failures()
        self.facts.readings, self.facts.server_trouble = self.watch.readings, self.watch.trouble

    async def _play(self) -> None:
        await self._until(self._joined)
        if not self._interrupted:
            first = self.totals.second + LEAD_S
            await self._order(measure_from=first, stop_at=first + self.plan.duration_s)
            await self._until(self._stopped)
        if self._interrupted:
            await self._order(stop_at=self.totals.second + 1)
        await self._until(self._drained, within_s=HURRY_S if self._interrupted else None)

    # -- what is waited for --

    @property
    def _interrupted(self) -> bool:
        self.facts.interrupted = self._interrupts.count > 0
        return self.facts.interrupted

    def _joined(self) -> bool:
        return self.totals.all_in("ready", "drained") or self._interrupted

    def _stopped(self) -> bool:
        return self.totals.all_in("drain", "drained") or self._interrupted

    def _drained(self) -> bool:
        return self.totals.all_in("drained") or self._interrupts.count > 1

    async def _until(self, condition: Any, *, within_s: float | None = None) -> None:
        """Add up and show until ``condition`` holds, no generator is left, or the time is up."""
        loop = asyncio.get_running_loop()
        end = None if within_s is None else loop.time() + within_s
        while not condition() and self.generators.alive and (end is None or loop.time() < end):
            await asyncio.sleep(POLL_S)
            await self._take()
            self.screen.show(self.totals, self.orders)

    async def _take(self) -> None:
        for sample in await self.generators.take():
            began_at = asyncio.get_running_loop().time() - sample.second - 1
            # A sample comes when its second is over, or later.
            self._began_at = began_at if self._began_at is None else min(self._began_at, began_at)
            self.totals.add(sample, self.orders)
        for task in self.generators.ended_tasks():
            self.totals.generators[task].phase = "drained"

    def _second_now(self) -> float | None:
        return None if self._began_at is None else asyncio.get_running_loop().time() - self._began_at

    async def _order(self, **orders: Any) -> None:
        self.orders = replace(self.orders, **orders)
        await self.generators.order(self.orders)

    # -- what the server counted --

    async def _compare(self, before: ServerPage | None) -> None:
        """Ask the server what it counted, while everybody is still connected."""
        if before is None or self._interrupted or not self.generators.alive:
            return
        await asyncio.sleep(METRICS_AGE_S)
        await self._take()
        after = await self.watch.look()
        if after is None:
            return
        counts = self.totals.whole.counts
        ours = {name: float(counts[name]) for name in ("acks", "results", "refusals")}
        ours |= {"agents": float(self.totals.agents), "spectators": float(self.totals.spectators)}
        self.facts.server = compare(counts_of(before), counts_of(after), ours)
        await self._compare_event_log(before, after)

    async def _compare_event_log(self, before: ServerPage, after: ServerPage | None) -> None:
        """Look until all facts are in the event log: it is written a little later than what it tells of."""
        loop = asyncio.get_running_loop()
        end = loop.time() + EVENT_LOG_WAIT_S
        then = event_log_counters(before)
        while then is not None and after is not None:
            now = event_log_counters(after)
            self.facts.event_log = None if now is None else event_log_counts(then, now)
            done = self.facts.event_log is None or self.facts.event_log.is_settled
            if done or loop.time() >= end or self._interrupted:
                return
            await asyncio.sleep(METRICS_AGE_S)
            after = await self.watch.look()


async def _check_server(base: str) -> None:
    """Check the server before Ray is started.  One without ``/readyz`` may still be one of the contract."""
    try:
        # Generators connect directly, for a proxy would be measured too; so does this.
        async with http_client(None, timeout=CHECK_TIMEOUT_S) as http:
            answer = await http.get(f"{base}/readyz")
    except httpx.HTTPError as error:
        raise ServerUnreachable(f"{unreachable(base, error)}{_unused_proxy(base)}") from error
    if answer.status_code == 503:
        raise NotReady(503, "not_ready")


def _unused_proxy(base: str) -> str:
    """Return a warning about a proxy that other commands would take; empty where there is none."""
    try:
        proxy = proxy_for(base)
    except ServerUnreachable as unusable:
        return f" (directly; {unusable})"
    return f" (directly: the proxy {proxy.shown} is not used by a load test)" if proxy else ""
