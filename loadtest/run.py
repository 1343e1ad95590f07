"""A load test from its start to its report: the driver.  It plans, gives orders, adds up, and ends in order.

    join ─► measure ─► wait for what still runs ─► compare with the server ─► leave

An interrupt (Ctrl-C, SIGTERM, a terminal that closes) goes on with the third step at once, so that there is a report
of what there is; a second one with the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import httpx

from chunkcrawl.commands.interrupts import heeded_signals, print_no_more_where_nobody_reads
from chunkcrawl.errors import NotReady, ServerUnreachable
from chunkcrawl.transport.proxies import http_client, proxy_for, unreachable
from loadtest.fleet import Fleet
from loadtest.limits import FigureLimit
from loadtest.plan import Plan
from loadtest.report import Facts, build
from loadtest.screen import LoadScreen
from loadtest.server_counts import ServerCounts, compare, read_counts
from loadtest.switchboard import Orders
from loadtest.tally import Tally

__all__ = ["run_load"]

POLL_S: Final = 0.5
#: Seconds between the order to measure and the first that counts, so that every generator has heard it before.
LEAD_S: Final = 2

#: How long commands that still run are waited for after an interrupt.
HURRY_S: Final = 5.0

#: The server's page may be older than the newest count by its cache.
METRICS_AGE_S: Final = 2.5

LEAVE_TIMEOUT_S: Final = 20.0
CHECK_TIMEOUT_S: Final = 10.0


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
        FleetError: The generators could not be started, or all failed before anything was measured.
        ConnectionError: The Ray cluster can't be joined.
    """
    await _check_server(plan.base)
    screen.say("Starting Ray ..." if address is None else f"Joining Ray at {address} ...")
    # In this very thread, though it blocks: Ray's processes get a signal when the thread that started them ends.
    fleet = Fleet.start(plan, tasks=tasks, address=address)
    driver = Driver(plan, screen, fleet, Facts(dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), address))
    try:
        with driver.listening_for_signals():
            await driver.run(metrics_token)
    finally:
        await fleet.stop()
    return build(plan, driver.tally, driver.facts, limits)


class Driver:
    """One run: plans, gives orders, adds up, and ends in order."""

    def __init__(self, plan: Plan, screen: LoadScreen, fleet: Fleet, facts: Facts) -> None:
        self.plan, self.screen, self.fleet, self.facts = plan, screen, fleet, facts
        self.tally = Tally(fleet.tasks)
        self.orders = Orders()
        self._interrupts = 0
        self._before: ServerCounts | None = None

    @contextlib.contextmanager
    def listening_for_signals(self) -> Any:
        """Count interrupts instead of being interrupted."""
        loop = asyncio.get_running_loop()
        numbers = heeded_signals()
        for number in numbers:
            loop.add_signal_handler(number, self._interrupted, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _interrupted(self, number: signal.Signals = signal.SIGINT) -> None:
        print_no_more_where_nobody_reads()
        if self._interrupts and number == signal.SIGHUP:
            return
        self._interrupts += 1
        self.facts.interrupted = True
        self.screen.say("Stopping; again to leave at once ..." if self._interrupts == 1 else "Leaving ...")

    async def run(self, metrics_token: str | None) -> None:
        """Drive the run until all generators have left."""
        self._before = await read_counts(self.plan.base, metrics_token)
        self.screen.say(f"Starting {self.fleet.tasks} generators ...")
        while not await self.fleet.all_here():
            if self._interrupts:
                return
            await asyncio.sleep(POLL_S / 5)
        with self.screen:
            await self._until(self._joined)
            if not self._interrupts:
                first = self.tally.second + LEAD_S
                await self._order(measure_from=first, stop_at=first + self.plan.duration_s)
                await self._until(self._stopped)
            if self._interrupts:
                await self._order(stop_at=self.tally.second + 1)
            await self._until(self._drained, within_s=HURRY_S if self._interrupts else None)
        await self._compare(metrics_token)
        await self._order(leave=True)
        await self.fleet.ended(LEAVE_TIMEOUT_S)
        await self._take()
        self.facts.failures = self.fleet.failures()

    # -- what is waited for --

    def _joined(self) -> bool:
        return self.tally.all_in("ready", "drained") or self._interrupts > 0

    def _stopped(self) -> bool:
        return self.tally.all_in("drain", "drained") or self._interrupts > 0

    def _drained(self) -> bool:
        return self.tally.all_in("drained") or self._interrupts > 1

    async def _until(self, condition: Any, *, within_s: float | None = None) -> None:
        """Add up and show until ``condition`` holds, no generator is left, or the time is up."""
        loop = asyncio.get_running_loop()
        end = None if within_s is None else loop.time() + within_s
        while not condition() and self.fleet.alive and (end is None or loop.time() < end):
            await asyncio.sleep(POLL_S)
            await self._take()
            self.screen.show(self.tally, self.orders)

    async def _take(self) -> None:
        for sample in await self.fleet.take():
            self.tally.add(sample, self.orders)
        for task in self.fleet.ended_tasks():
            self.tally.generators[task].phase = "drained"

    async def _order(self, **orders: Any) -> None:
        self.orders = replace(self.orders, **orders)
        await self.fleet.order(self.orders)

    async def _compare(self, metrics_token: str | None) -> None:
        """Ask the server what it counted, while everybody is still connected."""
        if self._before is None or self._interrupts or not self.fleet.alive:
            return
        await asyncio.sleep(METRICS_AGE_S)
        await self._take()
        after = await read_counts(self.plan.base, metrics_token)
        if after is not None:
            counts = self.tally.whole.counts
            ours = {name: float(counts[name]) for name in ("acks", "results", "refusals")}
            ours |= {"agents": float(self.tally.agents), "spectators": float(self.tally.spectators)}
            self.facts.server = compare(self._before, after, ours)


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
