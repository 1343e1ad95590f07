"""``ChunkShard``: a shard's runtime as a Ray actor.  Thin: everything it does is in ``cluster.shard``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from cluster.actor_loop import live
from cluster.configs import rules_of, shard_config
from cluster.metrics_report import Report
from cluster.ray_clients import NamedActors, RayShardClient, here, shard_name
from cluster.shard.handover import load_all
from cluster.shard.runtime import CommandTuple, DecisionTuple, ShardRuntime
from cluster.shard_metrics import shard_report
from config.logs import configure_logging
from config.settings import Settings
from streaming.connect import connect

log = structlog.get_logger(__name__)


class ChunkShard:
    """One shard.  Ray runs ``__init__`` again after a restart and nothing else, so epoch begins there.

    When the runtime ends with an error (a lost lease among them) the process ends too: Ray starts a new one, which
    comes back to the last commit.
    """

    def __init__(self, shard: int, settings: Settings) -> None:
        self._settings = settings
        configure_logging(self._settings, actor=shard_name(shard))
        self._shard = shard
        self._ready = asyncio.Event()
        self._runtime: ShardRuntime
        self._life = live(shard_name(shard), self._live())

    async def _live(self) -> None:
        settings = self._settings
        peers = RayShardClient(NamedActors(settings.ray_namespace))
        redis = connect(settings.redis_url)
        self._runtime = ShardRuntime(redis, self._shard, rules_of(settings), shard_config(settings), peers)
        await self._runtime.start()
        self._ready.set()
        await self._runtime.run()

    async def _up(self) -> ShardRuntime:
        await self._ready.wait()
        return self._runtime

    async def ready(self) -> int:
        """The shard's number, once it has come back to its last commit."""
        await self._up()
        return self._shard

    async def submit(self, commands: Sequence[CommandTuple]) -> list[DecisionTuple]:
        """``ShardRuntime.submit``."""
        return await (await self._up()).submit(commands)

    async def join(self, agent_id: str, chunk_id: str) -> tuple[str, ...]:
        """``Seating.join``."""
        return await (await self._up()).seating.join(agent_id, chunk_id)

    async def reserve(self, requests: list[tuple[str, str, str, int, int]]) -> list[tuple[Any, ...]]:
        """``Arrivals.reserve``."""
        return await (await self._up()).arrivals.reserve(requests)

    async def release(self, requests: list[tuple[str, str]]) -> None:
        """``Arrivals.release``."""
        await (await self._up()).arrivals.release(requests)

    async def refresh(self, chunk_ids: list[str]) -> None:
        """``Neighbors.refresh``."""
        await (await self._up()).neighbors.refresh(chunk_ids)

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        """``Handover.give``."""
        return await (await self._up()).handover.give(chunk_id, to_shard)

    async def load(self, chunk_ids: list[str]) -> list[bool]:
        """Load chunks that were given to this shard."""
        return await load_all(await self._up(), chunk_ids)

    async def describe(self) -> dict[str, Any]:
        """``ShardRuntime.describe``, and where it runs."""
        return {**(await self._up()).describe(), **here()}

    async def metrics(self) -> Report:
        """``cluster.shard_metrics.shard_report``."""
        return shard_report(await self._up())

    async def stop(self) -> None:
        """Commit what is pending and end the loops; the actor is to be killed after it."""
        await (await self._up()).stop()
