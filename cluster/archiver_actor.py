"""``ChunkArchiver``: the archiver and the snapshots as a Ray actor.  Thin: see ``cluster.archiver`` and ``snapshots``.

Nothing waits for it, neither the world's start nor the game, so that a database that is away costs the event log alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any, Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.exposition import of_metrics
from cluster.actor_loop import run_or_exit
from cluster.archive_metrics import archive_families
from cluster.archiver import Archiver
from cluster.backup_age import read_age
from cluster.metrics_report import INCARNATION, Report, process_families
from cluster.ray_clients import here
from cluster.snapshots import Snapshotter
from cluster.store_cpu import StoreCpu
from config.logs import configure_logging
from config.settings import Settings
from store.engine import make_engine
from streaming.cancellable import end
from streaming.connect import connect

log = structlog.get_logger(__name__)

POOL_SIZE: Final = 2
DRAIN_S: Final = 3.0


class ChunkArchiver:
    """One process that archives; when a loop of it ends with an error the process ends, and Ray starts a new one."""

    def __init__(self, number: int, settings: Settings) -> None:
        self._name = f"archiver-{number}"
        configure_logging(settings, actor=self._name)
        self._redis = connect(settings.redis_url)
        self._engine = make_engine(settings.database_url, pool_size=POOL_SIZE, max_overflow=POOL_SIZE)
        self._snapshots = Snapshotter(
            self._redis,
            self._engine,
            every_s=settings.snapshot_interval_s,
            keep=timedelta(days=settings.snapshot_keep_days),
        )
        self._archiver = Archiver(
            self._redis,
            self._engine,
            consumer=self._name,
            keep_days=settings.event_log_keep_days,
            has_left=self._snapshots.has_left,
        )
        self._stores = StoreCpu(self._redis, self._engine)
        self._loop = run_or_exit(self._name, self._run())

    async def _run(self) -> None:
        await asyncio.gather(self._archiver.run(), self._snapshots.run())

    async def ready(self) -> bool:
        """Return True at once: the world does not wait for PostgreSQL."""
        return True

    async def describe(self) -> dict[str, Any]:
        """Return what waits and was written, how old the last snapshots and backup are, and where this runs."""
        age = None
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                age = await read_age(self._redis)
        return {**self._archiver.describe(), **self._snapshots.describe(), "backup_age_s": age, **here()}

    async def metrics(self) -> Report:
        """Return the same as families, with what PostgreSQL and Redis have used of processors."""
        described, stores = await asyncio.gather(self.describe(), self._stores.families())
        families = [*of_metrics(archive_families(described)), *stores, *process_families(self._name)]
        return Report(self._name, INCARNATION, families)

    async def stop(self) -> None:
        """Write what waits, and take one last snapshot of the world; the actor is to be killed after it."""
        await end(self._loop)
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._archiver.drain()
                await self._snapshots.look()
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("archive_left_over", error=type(error).__name__)
        await self._redis.aclose()
        await self._engine.dispose()
