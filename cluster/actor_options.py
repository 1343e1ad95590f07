"""How Ray is to run our actors: named, detached, restarted for ever, spread over the nodes."""

from __future__ import annotations

from typing import Any, Final

from cluster.ray_clients import COORDINATOR, gateway_name, shard_name
from config.settings import Settings

SHARD_CONCURRENCY: Final = 1_000


def _detached(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": settings.ray_namespace,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1,
        "max_task_retries": 0,
        "scheduling_strategy": "SPREAD",
    }


def shard_options(settings: Settings, shard: int) -> dict[str, Any]:
    """Return the options of the actor of a shard."""
    cpus = settings.shard_cpus
    return _detached(settings, shard_name(shard)) | {"num_cpus": cpus, "max_concurrency": SHARD_CONCURRENCY}


def gateway_options(settings: Settings, gateway: int) -> dict[str, Any]:
    """Return the options of the actor of a gateway."""
    return _detached(settings, gateway_name(gateway)) | {"num_cpus": settings.gateway_cpus}


def archiver_name(archiver: int) -> str:
    """Return the name of the actor of an archiver."""
    return f"archiver-{archiver}"


def archiver_options(settings: Settings, archiver: int) -> dict[str, Any]:
    """Return the options of the actor of an archiver."""
    return _detached(settings, archiver_name(archiver)) | {"num_cpus": 0}


def coordinator_options(settings: Settings) -> dict[str, Any]:
    """Return the options of the coordinator's actor."""
    return _detached(settings, COORDINATOR) | {"num_cpus": 0}
