"""What Ray says of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import ray._private.state

from cluster.drain.nodes import ClusterNode, short

__all__ = ["dead_nodes", "living_nodes"]

DEAD_SHOWN_MOST: Final = 20

HEAD_RESOURCE: Final = "node:__internal_head__"

#: Without types.
RAY: Final[Any] = ray._private.state


def living_nodes() -> list[ClusterNode]:
    """Return the nodes that are alive, by id.  Blocks."""
    free: Mapping[str, Mapping[str, float]] = RAY.available_resources_per_node()
    return sorted((_node(found, free) for found in RAY.nodes() if found["Alive"]), key=lambda node: node.id)


def dead_nodes() -> list[dict[str, Any]]:
    """Return the last nodes that have left, for status.  Blocks."""
    dead = [found["NodeID"] for found in RAY.nodes() if not found["Alive"]]
    return [{"node": short(node_id), "alive": False} for node_id in dead[-DEAD_SHOWN_MOST:]]


def _node(found: Mapping[str, Any], free: Mapping[str, Mapping[str, float]]) -> ClusterNode:
    node_id = found["NodeID"]
    return ClusterNode(
        id=node_id,
        address=found["NodeManagerAddress"],
        name=found["NodeManagerHostname"],
        cpus=found["Resources"].get("CPU", 0.0),
        cpus_free=free.get(node_id, {}).get("CPU", 0.0),
        head=HEAD_RESOURCE in found["Resources"],
    )
