"""``Gateway``: a gateway as a Ray actor.  Thin: everything it does is in ``cluster.gateway``."""

from __future__ import annotations

from cluster.garbage import freeze_what_stays  # before all others, see there

# isort: split
import asyncio
from typing import Any

import structlog

from api import metrics
from cluster.actor_loop import run_or_exit
from cluster.gateway import GatewayServer, wait_started
from cluster.metrics_report import INCARNATION, Report, process_families
from cluster.ray_clients import NamedActors, RayClusterClient, connected_shards, gateway_name, here
from config.logs import configure_logging
from config.settings import Settings
from config.traces import export_rest, tracing_of
from streaming.shared_clock import SHARED

log = structlog.get_logger(__name__)


class Gateway:
    """One gateway process; when its server ends by itself, the process ends and Ray starts a new one."""

    def __init__(self, number: int, settings: Settings) -> None:
        configure_logging(settings, actor=gateway_name(number))
        self._number = number
        self._stopping = False
        actors = NamedActors(settings.ray_namespace)
        self._tracing = tracing_of(gateway_name(number), settings.secret_pepper, SHARED.now_ns)
        self._server = GatewayServer(settings, connected_shards(actors), RayClusterClient(actors), self._tracing)
        self._loop = run_or_exit(gateway_name(number), self._run())

    async def _run(self) -> None:
        freeze_what_stays()
        await self._server.serve()
        if not self._stopping:
            raise RuntimeError("the server has stopped by itself")

    async def ready(self) -> int:
        """Return the gateway's number, once it takes connections."""
        await wait_started(self._server)
        return self._number

    async def describe(self) -> dict[str, Any]:
        """Return what ``GatewayServer.describe`` does, and where it runs."""
        return {"gateway": self._number, **here(), **self._server.describe()}

    async def metrics(self) -> Report:
        """Return what this gateway counts."""
        name = gateway_name(self._number)
        return Report(name, INCARNATION, [*metrics.families(), *self._server.queues(), *process_families(name)])

    async def stop(self) -> None:
        """Drain and end the server; the actor is to be killed after it."""
        self._stopping = True
        await self._server.stop()
        await asyncio.wait([self._loop])
        await export_rest(self._tracing)
