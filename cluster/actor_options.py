"""How Ray is to run our actors: named, detached, restarted for ever, spread over the nodes.

``avoid``: ids of nodes that an actor is kept off, also when Ray starts it again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.ray_clients import COORDINATOR, COORDINATOR_MOVER, gateway_name, shard_name
from config.settings import Settings

SHARD_CONCURRENCY: Final = 1_000


#: The label that every Ray node has.
NODE_ID_LABEL: Final = "ray.io/node-id"
#: What holds when no other node has room for an actor: a node that was drained may be in use again by then.
ANY_NODE: Final = [{"label_selector": {NODE_ID_LABEL: "!in(none)"}}]


def _detached(settings: Settings, name: str, avoid: Collection[str]) -> dict[str, Any]:
    # Without blanks: Ray would take them for a part of the id.
    others = {NODE_ID_LABEL: f"!in({','.join(sorted(avoid))})"}
    kept_off = {"label_selector": others, "fallback_strategy": ANY_NODE} if avoid else {}
    return kept_off | {
        "name": name,
        "namespace": settings.ray_namespace,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1,
        "max_task_retries": 0,
        "scheduling_strategy": "SPREAD",
    }


def on_node(options: dict[str, Any], node_id: str) -> dict[str, Any]:
    """Return these options for an actor that is to begin on a node, or elsewhere when it has no room or is gone."""
    kept = {name: value for name, value in options.items() if name not in ("label_selector", "fallback_strategy")}
    return kept | {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=True)}


def shard_options(settings: Settings, shard: int, avoid: Collection[str] = ()) -> dict[str, Any]:
    """Return the options of the actor of a shard."""
    cpus = settings.shard_cpus
    return _detached(settings, shard_name(shard), avoid) | {"num_cpus": cpus, "max_concurrency": SHARD_CONCURRENCY}


def gateway_options(settings: Settings, gateway: int, avoid: Collection[str] = ()) -> dict[str, Any]:
    """Return the options of the actor of a gateway."""
    return _detached(settings, gateway_name(gateway), avoid) | {"num_cpus": settings.gateway_cpus}


def archiver_name(archiver: int) -> str:
    """Return the name of the actor of an archiver."""
    return f"archiver-{archiver}"


def archiver_options(settings: Settings, archiver: int, avoid: Collection[str] = ()) -> dict[str, Any]:
    """Return the options of the actor of an archiver."""
    return _detached(settings, archiver_name(archiver), avoid) | {"num_cpus": 0}


def coordinator_options(settings: Settings, avoid: Collection[str] = ()) -> dict[str, Any]:
    """Return the options of the coordinator's actor."""
    return _detached(settings, COORDINATOR, avoid) | {"num_cpus": 0}


def coordinator_mover_options(settings: Settings, avoid: Collection[str]) -> dict[str, Any]:
    """Return the options of the actor that makes the coordinator anew elsewhere."""
    return _detached(settings, COORDINATOR_MOVER, avoid) | {"num_cpus": 0}
