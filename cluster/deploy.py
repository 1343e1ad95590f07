"""Starting the world in a Ray cluster and stopping it: the one place where all rooms are wired together."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Any, Final

import ray
import structlog
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster import graph
from cluster.actor_classes import first_answer
from cluster.actor_options import coordinator_options
from cluster.archiver_actor import RECORDINGS
from cluster.configs import rules_of
from cluster.coordinator_actor import end_coordinator, find_coordinator, make_coordinator
from cluster.first_checks import check_ray_address
from cluster.peers import ShardUnavailable
from cluster.ray_clients import COORDINATOR, CoordinatorCalls, NamedActors, WorldActor
from cluster.ray_directory import RunDirectory
from cluster.ray_start import join_ray, leave_ray
from cluster.release import RELEASE, release_of
from cluster.stored_format import NewerWorld
from cluster.world_rules import rules_taken, unused_settings
from config.settings import Settings
from embedded.children import ServiceError
from recordings.places import NoSuchPlace, place_of
from streaming.connect import connect

log = structlog.get_logger(__name__)

READY_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 30.0
DESCRIBE_TIMEOUT_S: Final = 10.0


class Deployment:
    """A world that runs; ``stop`` ends it in order, and Ray with it when it was started here."""

    def __init__(self, settings: Settings, directory: RunDirectory | None, notices: list[str]) -> None:
        self.settings = settings
        #: What whoever started it should know of the world's rules, a line each.
        self.notices = notices
        self._directory = directory
        # By name: it is made anew when its node is drained.
        self._coordinator = NamedActors(settings.ray_namespace)

    @property
    def own_cluster(self) -> bool:
        """Whether Ray was started for this run alone."""
        return self._directory is not None

    async def describe(self) -> dict[str, Any]:
        """Return what ``Coordinator.describe`` does.

        Raises:
            ShardUnavailable: the coordinator gives no answer.
        """
        return await self._coordinator.call(COORDINATOR, STOP_TIMEOUT_S, WorldActor.describe)

    async def stop(self) -> None:
        """Drain gateways, stop shards after their last commit, then leave (or end) the Ray cluster."""
        try:
            await self._coordinator.call(COORDINATOR, STOP_TIMEOUT_S, CoordinatorCalls.drain)
        except Exception as error:  # what can't be drained is stopped all the same
            log.warning("drain_failed", error=repr(error))
        await asyncio.to_thread(self._end)

    async def leave(self) -> None:
        """Leave a cluster that goes on without us, and the world in it.

        Raises:
            ServiceError: the cluster is our own, and would end.
        """
        if self.own_cluster:
            raise ServiceError("this world runs in a Ray cluster of its own, which ends with this process")
        await asyncio.to_thread(leave_ray, None)

    def _end(self) -> None:
        if not self.own_cluster:
            _kill_actors(self.settings)
        leave_ray(self._directory)


async def start(settings: Settings) -> Deployment:
    """Bring the world up: Ray, the world's keys in Redis, the coordinator and through it shards and gateways.

    PostgreSQL must have been migrated, Redis must be reachable.

    Raises:
        ServiceError: nothing answers at ``settings.ray_address``, or the world in Redis is damaged, or of a newer
            release.
        ConnectionError: the Ray cluster there can't be joined.
        TimeoutError: not every actor was up within ``READY_TIMEOUT_S``.
    """
    check_ray_address(settings.ray_address)
    settings = _with_recordings(settings)
    # In this very thread, though it blocks: Ray's processes get a signal when the thread that started them ends.
    address = None if settings.ray_address == "local" else settings.ray_address
    directory = join_ray(address, settings.ray_namespace)
    try:
        notices = await _have_world(settings)
        async with asyncio.timeout(READY_TIMEOUT_S):
            coordinator = await _have_coordinator(settings)
            await first_answer(coordinator)
    except BaseException:
        await asyncio.to_thread(ray.shutdown)
        if directory is not None:
            keep_ray_logs(directory, settings.log_dir)
            directory.remove()
        raise
    return Deployment(settings, directory, notices)


def _with_recordings(settings: Settings) -> Settings:
    """Return settings that name the directory of recordings as actors find it, whose working directory is another.

    Raises:
        ServiceError: recordings can't go where they are to go.
    """
    try:
        if settings.recordings_url:
            place_of(settings.recordings_url)
    except NoSuchPlace as error:
        raise ServiceError(f"CHUNKCRAWL_RECORDINGS_URL: {error}") from None
    where = settings.recordings_dir or Path(settings.data_dir) / RECORDINGS
    return settings.model_copy(update={"recordings_dir": str(Path(where).absolute())})


async def _have_coordinator(settings: Settings) -> ActorHandle[Any]:
    """Return the coordinator, made now if there is none, or if the one that is there is of another release.

    That one is ended, and the next is made on this very node, which has our code.  Killed in between, this leaves a
    world that goes on without coordinator until the next start.
    """
    options = coordinator_options(settings)
    found = await asyncio.to_thread(find_coordinator, settings.ray_namespace)
    if found is not None:
        actors = NamedActors(settings.ray_namespace)
        try:
            release = release_of(await actors.call(COORDINATOR, DESCRIBE_TIMEOUT_S, WorldActor.describe))
        except ShardUnavailable:
            release = RELEASE  # or not: Ray starts it again, and whoever wants it waits for that
        if release != RELEASE:
            log.info("coordinator_replaced", release=release.release, by=RELEASE.release)
            await asyncio.to_thread(end_coordinator, settings.ray_namespace)
            node = ray.get_runtime_context().get_node_id()
            options |= {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True)}
    return await asyncio.to_thread(make_coordinator, options, settings)


async def _have_world(settings: Settings) -> list[str]:
    """Make the world in Redis if there is none; returns what is to be said of the rules of the one that is there."""
    redis = connect(settings.redis_url)
    try:
        rules = rules_of(settings).of_world
        made = await graph.init_world(redis, seed=settings.world_seed, shard_count=settings.shards, rules=rules)
    except NewerWorld as error:
        raise ServiceError(str(error)) from None
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
