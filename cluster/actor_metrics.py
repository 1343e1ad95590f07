"""The sources of the coordinator's ``MetricsCollector``: each actor by name, and the coordinator itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

import ray

from api.exposition import Family, single
from cluster.balancer import Balancer
from cluster.metrics_collector import ASK_TIMEOUT_S, Sources
from cluster.metrics_report import INCARNATION, Report, process_families
from cluster.ray_clients import COORDINATOR, NamedActors, ReportingActor


def actor_sources(actors: NamedActors, names: Callable[[], Iterable[str]], balancer: Balancer) -> Callable[[], Sources]:
    """Return the sources of a collector that runs in the coordinator, whose balancer that is."""

    def sources() -> Sources:
        found = {name: partial(_report_of, actors, name) for name in sorted(names())}
        return {**found, COORDINATOR: partial(_own_report, balancer)}

    return sources


async def cluster_families() -> list[Family]:
    """Return what only Ray knows."""
    nodes = await asyncio.to_thread(ray.nodes)
    alive = sum(1 for node in nodes if node["Alive"])
    return [single("cluster_nodes", "gauge", "Ray nodes that are alive.", alive)]


async def _report_of(actors: NamedActors, name: str) -> Report:
    return await actors.call(name, ASK_TIMEOUT_S, ReportingActor.metrics)


async def _own_report(balancer: Balancer) -> Report:
    families = [*process_families(COORDINATOR), *balancer.families()]
    return Report(COORDINATOR, INCARNATION, families, [balancer.window()])
