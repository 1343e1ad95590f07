"""Which nodes are drained, and what of ours is still on them: what a pass of the coordinator goes by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import structlog
from redis.asyncio import Redis

from cluster.drain import drained
from cluster.drain.nodes import ClusterNode, hosts
from cluster.drain.ray_nodes import living_nodes
from config.settings import Settings

log = structlog.get_logger(__name__)


class DrainedNodes:
    """``look`` at the nodes and what is wished of them, ``heard`` where actors are; then ask."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._nodes: list[ClusterNode] = []
        self._wished: dict[str, drained.Who] = {}
        #: Where each actor was when it last answered.
        self._places: dict[str, str] = {}
        self._silent: frozenset[str] = frozenset()
        #: Ids of the drained nodes; none while no other node is left to run on.
        self.avoid: frozenset[str] = frozenset()

    async def look(self) -> None:
        """Read both anew, and forget the wish about nodes that have left."""
        self._nodes = await asyncio.to_thread(living_nodes)
        self._wished = await drained.read_drained(self._redis)
        alive = {node.id for node in self._nodes}
        await drained.undrain(self._redis, self._wished.keys() - alive)
        avoid = frozenset(self._wished.keys() & alive)
        if avoid and not [node for node in self.hosts if node.id not in avoid]:
            log.warning("no_node_left", drained=sorted(avoid))
            avoid = frozenset()
        self.avoid = avoid

    @property
    def hosts(self) -> list[ClusterNode]:
        """The living nodes that may run shards and gateways, drained or not, with what is on them."""
        asks = (self._settings.shard_cpus, self._settings.gateway_cpus)
        return hosts(map(self._with_actors, self._nodes), [ask for ask in asks if ask])

    @property
    def usable(self) -> int:
        """How many nodes may run them now."""
        return sum(1 for node in self.hosts if node.id not in self.avoid)

    def heard(self, actors: Mapping[str, Mapping[str, Any]]) -> None:
        """Note where actors are, by their descriptions; one that gives no answer is where it last was."""
        self._places.update({name: actor["node"] for name, actor in actors.items() if "node" in actor})
        self._silent = frozenset(name for name, actor in actors.items() if "node" not in actor)
        self._places = {name: place for name, place in self._places.items() if name in actors}

    def made_anew(self, name: str) -> None:
        """Note that an actor was taken away: nobody knows yet where it will be."""
        self._places.pop(name, None)
        self._silent |= {name}

    def left_on(self, names: Iterable[str]) -> list[str]:
        """Return those of these actors that are on a drained node."""
        return sorted(name for name in names if self._places.get(name) in self.avoid)

    def silent(self, names: Iterable[str]) -> list[str]:
        """Return those that did not answer when they were last asked, or were never asked."""
        return sorted(name for name in names if name in self._silent or name not in self._places)

    def describe(self) -> list[dict[str, Any]]:
        """Return the living nodes for status."""
        return [self._with_actors(node).describe() for node in self._nodes]

    def _with_actors(self, node: ClusterNode) -> ClusterNode:
        here = {name: self._asks(name) for name, place in self._places.items() if place == node.id}
        return replace(node, drained=node.id in self._wished, actors=here)

    def _asks(self, name: str) -> float:
        kinds = {"shard": self._settings.shard_cpus, "gateway": self._settings.gateway_cpus}
        return kinds.get(name.partition("-")[0], 0.0)
