"""Scaling with the load: what the planners decide from the coordinator's passes is written into Redis as a wish.

The commit points are those of the operators' commands: ``wanted_shards`` (``chunkcrawl scale``) and ``cluster:drained``
(``chunkcrawl drain``).  Killed before, nothing has changed; killed after, the next coordinator carries it out.  How
long something has been too much is forgotten with the process, which puts a decision off, no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import structlog
from redis.asyncio import Redis

from cluster.drain import drained
from cluster.drain.nodes import ClusterNode, short
from cluster.messages import ShardLoad
from cluster.scale.node_planner import NodePlanner
from cluster.scale.planner import ScalePlanner, ScaleRules, ShardUse
from config.settings import Settings
from streaming import keys

log = structlog.get_logger(__name__)


class Scaling:
    """``shards`` and ``nodes`` once in each pass."""

    def __init__(self, redis: Redis, settings: Settings, *, tick_hz: int) -> None:
        self._redis = redis
        self._rules = scale_rules(settings, tick_hz)
        self._shards = ScalePlanner(self._rules)
        self._nodes_min = settings.nodes_min
        self._nodes = NodePlanner(max(1, settings.nodes_min))

    async def shards(self, wished: int, loads: Mapping[int, ShardLoad], now: float) -> int:
        """Return how many shards there are to be, ``wished`` until now; another number is written down as a wish."""
        uses = [ShardUse(load.cpu, load.tick_p99_ms, load.age_s) for load in loads.values()]
        wanted = self._shards.wanted(wished, uses, now)
        if wanted != wished:
            if wanted > wished:
                await self._take_back_nodes()
            await self._redis.hset(keys.WORLD, keys.WANTED_SHARDS, str(wanted))
            log.info("shards_scaled", shards=wanted, before=wished, cpu=round(sum(use.cpu for use in uses), 3))
        return wanted

    async def nodes(self, nodes: Sequence[ClusterNode], avoid: Collection[str], now: float, *, settled: bool) -> None:
        """Note a node as drained that the others can do without; see ``NodePlanner.to_empty``."""
        if not self._nodes_min:
            return
        if sum(node.id not in avoid for node in nodes) < self._nodes_min:
            await self._take_back_nodes()
        node = self._nodes.to_empty(nodes, avoid, now, settled=settled)
        if node is not None:
            others = [one.id for one in nodes if one.id != node.id and one.id not in avoid]
            noted = await drained.drain(self._redis, node.id, others, "scale")
            log.info("node_not_needed", node=short(node.id), emptied=noted)

    async def _take_back_nodes(self) -> None:
        """Let those be used again that were emptied because nobody needed them, before others are asked for."""
        wished = await drained.read_drained(self._redis)
        await drained.undrain(self._redis, [node for node, who in wished.items() if who == "scale"])


def scale_rules(settings: Settings, tick_hz: int) -> ScaleRules:
    """Return what the settings ask for; ``tick_hz`` is the world's."""
    return ScaleRules(
        least=settings.shards,
        most=settings.shards_max,
        cpu=settings.scale_cpu,
        shrink_after_s=settings.scale_down_after_s,
        tick_ms=1000 / tick_hz,
    )


def scale_bounds(settings: Settings) -> list[int]:
    """Return the least and the most shards, for status; empty where their number is fixed."""
    return [settings.shards, settings.shards_max] if settings.shards_max > settings.shards else []
