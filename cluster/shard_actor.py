"""``ChunkShard``: a shard's runtime as a Ray actor.  Thin: everything it does is in ``cluster.shard``."""

from __future__ import annotations

from cluster.garbage import freeze_what_stays  # before all others, see there

# isort: split
import asyncio
from typing import Any

import structlog

from cluster.actor_loop import run_or_exit
from cluster.configs import rules_of, shard_config
from cluster.graph import read_world
from cluster.load_reports import LOAD
from cluster.messages import OLDEST, SHARD_LOAD
from cluster.metrics_report import Report
from cluster.ray_clients import NamedActors, connected_shards, here, host_for, shard_name
from cluster.shard.command_spans import CommandSpans
from cluster.shard.runtime import ShardRuntime
from cluster.shard_calls import ShardEndpoint
from cluster.shard_metrics import shard_report
from cluster.shard_socket import ShardListener
from config.logs import configure_logging
from config.settings import Settings
from config.traces import export_rest, tracing_of
from streaming.connect import connect
from streaming.direct_redis import DirectRedis
from streaming.shared_clock import SHARED

log = structlog.get_logger(__name__)


class ChunkShard(ShardEndpoint):
    """One shard: the calls of ``ShardEndpoint``, over Ray and over sockets, and those of every actor.

    Ray runs ``__init__`` again after a restart and nothing else, so epoch begins there.

    When the runtime ends with an error (a lost lease among them) the process ends too: Ray starts a new one, which
    comes back to the last commit.
    """

    def __init__(self, shard: int, settings: Settings) -> None:
        self._settings = settings
        configure_logging(self._settings, actor=shard_name(shard))
        self._shard = shard
        self._tracing = tracing_of(shard_name(shard), settings.secret_pepper, SHARED.now_ns)
        self._ready = asyncio.Event()
        self._listener = ShardListener(self)
        self._runtime: ShardRuntime
        self._loop = run_or_exit(shard_name(shard), self._run())

    async def _run(self) -> None:
        freeze_what_stays()  # before the world is loaded, which comes and goes
        settings = self._settings
        peers = connected_shards(NamedActors(settings.ray_namespace))
        redis = connect(settings.redis_url)
        world = await read_world(redis)
        rules = rules_of(settings, world.rules if world is not None else None)
        config = shard_config(settings, rules)
        self._runtime = await ShardRuntime.start(redis, self._shard, rules, config, peers, DirectRedis(redis))
        if self._tracing is not None:
            self._runtime.commits.spans = CommandSpans(self._tracing, self._shard)
        self._ready.set()
        await self._runtime.run()

    async def _up(self) -> ShardRuntime:
        await self._ready.wait()
        return self._runtime

    async def ready(self) -> int:
        """Return the shard's number, once it has come back to its last commit."""
        await self._up()
        return self._shard

    async def address(self, node: str) -> bytes:
        """See ``cluster.shard_socket.IntroducedShard``."""
        return await self._listener.address(host_for(node))

    async def describe(self) -> dict[str, Any]:
        """See ``ShardRuntime.describe``; what it carries (``cluster.load_reports``), and where it runs."""
        runtime = await self._up()
        return {**runtime.describe(), LOAD: SHARD_LOAD.pack(runtime.load_report(), OLDEST), **here()}

    async def metrics(self) -> Report:
        """See ``cluster.shard_metrics.shard_report``."""
        return shard_report(await self._up())

    async def stop(self) -> None:
        """Commit what is pending and end the loops; the actor is to be killed after it."""
        await (await self._up()).stop()
        await export_rest(self._tracing)
