"""The metrics of every process of the cluster on one page, for whichever gateway is asked.

One collector does it for all of them (the coordinator's), so there is one ledger and nothing is counted twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.exposition import Family, family, render, single
from cluster.metrics_ledger import Ledger, kind_of
from cluster.metrics_report import Report
from cluster.peers import ShardUnavailable
from streaming import keys

log = structlog.get_logger(__name__)

ASK_TIMEOUT_S: Final = 1.0
#: How long a page is given again.
CACHE_S: Final = 1.5
KINDS: Final = ("shard", "gateway", "coordinator", "archiver")

#: How to ask each process, by its name.
Sources = Mapping[str, Callable[[], Awaitable[Report]]]


class MetricsCollector:
    """Gathers the page; ``page`` may be called any time, by any number of callers.

    Args:
        redis: keeps the ledger (``cluster:metrics``).
        sources: which processes there are to be, now.
        extra: figures of the cluster as a whole.
    """

    def __init__(
        self,
        redis: Redis,
        sources: Callable[[], Sources],
        extra: Callable[[], Awaitable[list[Family]]] | None = None,
    ) -> None:
        self._redis = redis
        self._sources = sources
        self._extra = extra
        self._ledger: Ledger | None = None
        self._lock = asyncio.Lock()
        self._page = b""
        self._made_at = float("-inf")

    async def page(self) -> bytes:
        """Return all of it in Prometheus text form.

        Raises:
            RedisError, OSError, TimeoutError: the ledger could not be read, at the first call.
        """
        async with self._lock:
            if time.monotonic() - self._made_at >= CACHE_S:
                self._page = render(await self._gather())
                self._made_at = time.monotonic()
            return self._page

    async def ended(self, process: str) -> None:
        """Note that a process has been stopped in order: what it does next is no restart."""
        async with self._lock:
            await self._close(lambda ledger: ledger.ended(process))

    async def end_all(self) -> None:
        """Take each process's last report and write the ledger: the world is about to be stopped in order."""
        async with self._lock:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._gather()
            await self._close(Ledger.all_ended)

    async def _close(self, close: Callable[[Ledger], None]) -> None:
        """Run ``close`` and write the ledger.  Never raises: a failure costs a restart too many in a graph."""
        try:
            ledger = await self._read()
            close(ledger)
            await self._write(ledger)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("metrics_ledger_not_written", error=type(error).__name__)

    async def _gather(self) -> list[Family]:
        ledger = await self._read()
        sources = self._sources()
        answers = await asyncio.gather(*(_ask(name, source) for name, source in sources.items()))
        reports = [report for report in answers if report is not None]
        for report in reports:
            ledger.take(report)
        try:
            await self._write(ledger)
        except (RedisError, OSError, TimeoutError) as error:
            # Shown all the same: an outage of Redis is when the figures are wanted.
            log.warning("metrics_ledger_not_written", error=type(error).__name__)
        found = ledger.families(reports) + self._about_actors(ledger, sources, reports)
        found.append(
            single("metrics_gathered_at_seconds", "gauge", "When this page was made, in Unix time.", time.time())
        )
        return found + (await self._extra() if self._extra is not None else [])

    def _about_actors(self, ledger: Ledger, sources: Sources, reports: list[Report]) -> list[Family]:
        heard = {report.process for report in reports}
        ups = [({"actor": name}, float(name in heard)) for name in sources]
        kinds = sorted({*KINDS, *map(kind_of, sources)})
        restarts = [({"kind": kind}, float(count)) for kind, count in ledger.restarts(kinds).items()]
        return [
            family("actor_up", "gauge", "1 for an actor that has answered, 0 for one that should have.", ups),
            family("actor_restarts_total", "counter", "Processes that ended out of order and began again.", restarts),
        ]

    async def _read(self) -> Ledger:
        if self._ledger is None:
            kept = await self._redis.get(keys.METRICS)
            try:
                self._ledger = Ledger.load(kept) if kept else Ledger()
            except ValueError as error:
                log.warning("metrics_ledger_unreadable", error=str(error))
                self._ledger = Ledger()
        return self._ledger

    async def _write(self, ledger: Ledger) -> None:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            await self._redis.set(keys.METRICS, ledger.dump())


async def _ask(name: str, source: Callable[[], Awaitable[Report]]) -> Report | None:
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            return await source()
    except (ShardUnavailable, TimeoutError, AttributeError) as error:
        # The last: an actor of a release in which it could not be asked yet.
        log.info("metrics_missing", actor=name, error=str(error))
        return None
