"""``ChunkArchiver``: archiver, snapshots and recorder as a Ray actor.  Thin: see the modules of these names.

Nothing waits for it, neither the world's start nor the game, so that a database that is away costs the event log alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.exposition import of_metrics
from cluster.actor_loop import run_or_exit
from cluster.archive_metrics import archive_families
from cluster.archiver import Archiver
from cluster.backup_age import read_age
from cluster.metrics_report import INCARNATION, Report, process_families
from cluster.ray_clients import here
from cluster.recorder import Recorder
from cluster.recording_metrics import recording_families
from cluster.snapshots import Snapshotter
from cluster.store_cpu import StoreCpu
from config.errors import OperatorError
from config.logs import configure_logging
from config.settings import Settings
from recordings.places import place_of
from store.engine import make_engine
from streaming.cancellable import end
from streaming.connect import connect

log = structlog.get_logger(__name__)

POOL_SIZE: Final = 2
DRAIN_S: Final = 3.0
#: The directory of recordings in the data directory.
RECORDINGS: Final = "recordings"


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
        self._recorder = make_recorder(self._redis, settings)
        self._stores = StoreCpu(self._redis, self._engine)
        self._loop = run_or_exit(self._name, self._run())

    async def _run(self) -> None:
        recording = [self._recorder.run()] if self._recorder is not None else []
        await asyncio.gather(self._archiver.run(), self._snapshots.run(), *recording)

    async def ready(self) -> bool:
        """Return True at once: the world does not wait for PostgreSQL."""
        return True

    async def describe(self) -> dict[str, Any]:
        """Return what waits and was written, how old the last snapshots and backup are, and where this runs."""
        age = None
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                age = await read_age(self._redis)
        recorder = self._recorder.describe() if self._recorder is not None else {}
        return {**self._archiver.describe(), **self._snapshots.describe(), **recorder, "backup_age_s": age, **here()}

    async def metrics(self) -> Report:
        """Return the same as families, with what PostgreSQL and Redis have used of processors."""
        described, stores = await asyncio.gather(self.describe(), self._stores.families())
        told = (*archive_families(described), *recording_families(described))
        families = [*of_metrics(told), *stores, *process_families(self._name)]
        return Report(self._name, INCARNATION, families)

    async def stop(self) -> None:
        """Write what waits, and take one last snapshot of the world; the actor is to be killed after it."""
        await end(self._loop)
        if self._recorder is not None:
            try:
                async with asyncio.timeout(DRAIN_S):
                    await self._recorder.drain()
            except (RedisError, OSError, TimeoutError, OperatorError) as error:
                log.warning("recording_left_over", error=type(error).__name__)  # the next recorder goes on
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._archiver.drain()
                await self._snapshots.look()
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("archive_left_over", error=type(error).__name__)
        await self._redis.aclose()
        await self._engine.dispose()


def make_recorder(redis: Redis, settings: Settings) -> Recorder | None:
    """Return the recorder of this installation; None: nothing is recorded."""
    if not settings.recordings:
        return None
    return Recorder(
        redis,
        Path(settings.recordings_dir or Path(settings.data_dir) / RECORDINGS).absolute(),
        segment_s=settings.recording_segment_s,
        keep_days=settings.recordings_keep_days,
        bytes_most=settings.recordings_max_mb * 1_000_000,
        place=place_of(settings.recordings_url) if settings.recordings_url else None,
    )
