"""Starting the world in a Ray cluster and stopping it: the one place where all rooms are wired together."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Any, Final

import ray
import structlog

from cluster import graph
from cluster.actor_options import coordinator_options
from cluster.configs import rules_of
from cluster.coordinator import Coordinator
from cluster.first_checks import check_ray_address
from cluster.ray_directory import RunDirectory
from cluster.ray_start import join_ray, leave_ray
from cluster.world_rules import rules_taken, unused_settings
from config.settings import Settings
from embedded.children import ServiceError
from streaming.connect import connect

log = structlog.get_logger(__name__)

READY_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 30.0


class Deployment:
    """A world that runs; ``stop`` ends it in order, and Ray with it when it was started here."""

    def __init__(
        self, settings: Settings, coordinator: Any, directory: RunDirectory | None, notices: list[str]
    ) -> None:
        self.settings = settings
        self.coordinator = coordinator
        #: What whoever started it should know of the world's rules, a line each.
        self.notices = notices
        self._directory = directory

    @property
    def own_cluster(self) -> bool:
        """Whether Ray was started for this run alone."""
        return self._directory is not None

    async def describe(self) -> dict[str, Any]:
        """Return what ``Coordinator.describe`` does."""
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
        leave_ray(self._directory)


async def start(settings: Settings) -> Deployment:
    """Bring the world up: Ray, the world's keys in Redis, the coordinator and through it shards and gateways.

    PostgreSQL must have been migrated, Redis must be reachable.

    Raises:
        ServiceError: nothing answers at ``settings.ray_address``, or the world in Redis is damaged.
        ConnectionError: the Ray cluster there can't be joined.
        TimeoutError: not every actor was up within ``READY_TIMEOUT_S``.
    """
    check_ray_address(settings.ray_address)
    # In this very thread, though it blocks: Ray's processes get a signal when the thread that started them ends.
    address = None if settings.ray_address == "local" else settings.ray_address
    directory = join_ray(address, settings.ray_namespace)
    try:
        notices = await _have_world(settings)
        actor: Any = ray.remote(Coordinator).options(**coordinator_options(settings))
        coordinator = await asyncio.to_thread(actor.remote, settings)
        async with asyncio.timeout(READY_TIMEOUT_S):
            await coordinator.ready.remote()
    except BaseException:
        await asyncio.to_thread(ray.shutdown)
        if directory is not None:
            keep_ray_logs(directory, settings.log_dir)
            directory.remove()
        raise
    return Deployment(settings, coordinator, directory, notices)


async def _have_world(settings: Settings) -> list[str]:
    """Make the world in Redis if there is none; returns what is to be said of the rules of the one that is there."""
    redis = connect(settings.redis_url)
    try:
        rules = rules_of(settings).of_world
        made = await graph.init_world(redis, seed=settings.world_seed, shard_count=settings.shards, rules=rules)
    except ValueError as error:
        raise ServiceError(
            f"The world in Redis is damaged: {error}; `chunkcrawl fsck` looks closer, `chunkcrawl restore` brings a "
            "backup back."
        ) from None
    finally:
        await redis.aclose()
    taken = rules_taken(made.rules) if made.rules_added else None
    return [line for line in (taken, unused_settings(settings, made.info.seed, made.rules)) if line is not None]


def keep_ray_logs(directory: RunDirectory, log_dir: str) -> None:
    """Save what Ray wrote during a start that failed: what ended an actor before it could log stands only there."""
    if log_dir:
        with contextlib.suppress(OSError, shutil.Error):
            shutil.copytree(directory.logs, Path(log_dir) / "ray", dirs_exist_ok=True)


def _kill_actors(settings: Settings) -> None:
    """End our detached actors in a cluster that goes on without us."""
    for named in ray.util.list_named_actors(all_namespaces=True):
        if named["namespace"] == settings.ray_namespace:
            ray.kill(ray.get_actor(named["name"], settings.ray_namespace), no_restart=True)
