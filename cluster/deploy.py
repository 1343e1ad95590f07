"""Starting the world in a Ray cluster and stopping it: the one place where all rooms are wired together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ray
import structlog

from api.settings import Settings
from cluster import graph
from cluster.actor_options import coordinator_options
from cluster.coordinator import Coordinator
from streaming.connect import connect

log = structlog.get_logger(__name__)

OBJECT_STORE_BYTES = 80 * 1024 * 1024
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0

#: For a cluster of our own.  No usage reports; no task events, which cost the GCS some 3 kB a call.
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # workers are the game here, not batch jobs beside something more important
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class Deployment:
    """A world that runs; ``stop`` ends it in order, and Ray with it when it was started here."""

    def __init__(self, settings: Settings, coordinator: Any, temp_dir: Path | None) -> None:
        self.settings = settings
        self.coordinator = coordinator
        self._temp_dir = temp_dir

    @property
    def own_cluster(self) -> bool:
        """Whether Ray was started for this run alone."""
        return self._temp_dir is not None

    async def describe(self) -> dict[str, Any]:
        """``Coordinator.describe``."""
        described: dict[str, Any] = await self.coordinator.describe.remote()
        return described

    async def stop(self) -> None:
        """Drain gateways, stop shards after their last commit, then leave (or end) the Ray cluster."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self.coordinator.drain.remote()
        except Exception as error:  # what can't be drained is stopped all the same
            log.warning("drain_failed", error=repr(error))
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        if not self.own_cluster:
            _kill_actors(self.settings)
        ray.shutdown()
        if self._temp_dir is not None:
            shutil.rmtree(self._temp_dir, ignore_errors=True)


async def start(settings: Settings) -> Deployment:
    """Bring the world up: Ray, the world's keys in Redis, the coordinator and through it shards and gateways.

    PostgreSQL must have been migrated, Redis must be reachable.

    Raises:
        ConnectionError: the Ray cluster at ``settings.ray_address`` can't be joined.
        TimeoutError: not every actor was up within ``READY_TIMEOUT_S``.
    """
    # In this very thread, though it blocks: Ray's processes get a signal when the thread that started them ends.
    temp_dir = _join_ray(settings)
    try:
        redis = connect(settings.redis_url)
        await graph.init_world(redis, seed=settings.world_seed, shard_count=settings.shards)
        await redis.aclose()
        actor: Any = ray.remote(Coordinator).options(**coordinator_options(settings))
        coordinator = await asyncio.to_thread(actor.remote, settings)
        async with asyncio.timeout(READY_TIMEOUT_S):
            await coordinator.ready.remote()
    except BaseException:
        await asyncio.to_thread(ray.shutdown)
        if temp_dir is not None:
            keep_ray_logs(temp_dir, settings.log_dir)
            shutil.rmtree(temp_dir, ignore_errors=True)
        raise
    return Deployment(settings, coordinator, temp_dir)


def keep_ray_logs(temp_dir: Path, log_dir: str) -> None:
    """Save what Ray wrote during a start that failed: what ended an actor before it could log stands only there."""
    if log_dir:
        with contextlib.suppress(OSError, shutil.Error):
            shutil.copytree(temp_dir / "session_latest" / "logs", Path(log_dir) / "ray", dirs_exist_ok=True)


def _join_ray(settings: Settings) -> Path | None:
    """Start a cluster of our own (returns its temp directory) or join a running one (returns None)."""
    common: dict[str, Any] = {"namespace": settings.ray_namespace, "log_to_driver": False, "logging_level": "ERROR"}
    if settings.ray_address != "local":
        ray.init(address=settings.ray_address, **common)
        return None
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    temp_dir = Path(tempfile.mkdtemp(prefix="ccray-"))  # short: socket paths have a limit of 107 characters
    ray.init(
        address="local",
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(temp_dir),
        **common,
    )
    return temp_dir


def _kill_actors(settings: Settings) -> None:
    """End our detached actors in a cluster that goes on without us."""
    for named in ray.util.list_named_actors(all_namespaces=True):
        if named["namespace"] == settings.ray_namespace:
            ray.kill(ray.get_actor(named["name"], settings.ray_namespace), no_restart=True)
