"""Shards in this process, without Ray: for tests of everything that needs a world, and for embedding.

The same runtimes as in the actors, reached by plain calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from redis.asyncio import Redis

from api import metrics
from api.accounts.auth import DEV_ACCOUNT_ID
from cluster import graph
from cluster.demo_world import seat_demo_actors
from cluster.metrics_collector import MetricsCollector, Sources
from cluster.metrics_report import INCARNATION, Report
from cluster.peers import Shard, ShardUnavailable
from cluster.router import Router
from cluster.shard.config import ShardConfig
from cluster.shard.runtime import ShardRuntime
from cluster.shard_calls import CarryingClient, ShardEndpoint
from cluster.shard_metrics import shard_report
from config.settings import default
from streaming.batch import RedisBatch
from streaming.cancellable import end
from streaming.direct_redis import DirectRedis
from world.rules import Rules

P = ParamSpec("P")
T = TypeVar("T")


class LocalEndpoint(ShardEndpoint):
    """The endpoint of a runtime of this process."""

    def __init__(self, runtime: ShardRuntime) -> None:
        self._runtime = runtime

    async def _up(self) -> Shard:
        return self._runtime


class LocalShards(CarryingClient):
    """``ShardClient`` to runtimes of this process; messages are packed on their way as between processes."""

    def __init__(self) -> None:
        super().__init__()
        self.runtimes: dict[int, ShardRuntime] = {}

    async def call(
        self,
        shard: int,
        timeout_s: float,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """See ``cluster.shard_calls.Carrier``."""
        runtime = self.runtimes.get(shard)
        if runtime is None:
            raise ShardUnavailable(f"shard {shard} is not running")
        try:
            async with asyncio.timeout(timeout_s):
                return await method(LocalEndpoint(runtime), *args, **kwargs)
        except TimeoutError as error:
            raise ShardUnavailable(f"shard {shard} gave no answer to {method.__name__}") from error


class LocalWorld:
    """A whole world in this process: ``async with LocalWorld(redis) as world`` gives running shards and a router."""

    def __init__(
        self,
        redis: Redis,
        *,
        shards: int = default("shards"),
        seed: int = 1,
        rules: Rules | None = None,
        config: ShardConfig | None = None,
    ) -> None:
        self.redis = redis
        self.shards = LocalShards()
        self.batch = RedisBatch(redis)
        self.rules = rules or Rules(demo=False)
        self.config = config or ShardConfig()
        self.router = Router(
            redis, self.batch, self.shards, spawn_capacity=self.rules.spawn_chunk_capacity, cluster=self
        )
        self._metrics = MetricsCollector(redis, self._metric_sources)
        self._seed = seed
        self._count = shards
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._direct: dict[int, DirectRedis] = {}

    async def __aenter__(self) -> LocalWorld:
        made = await graph.init_world(self.redis, seed=self._seed, shard_count=self._count, rules=self.rules.of_world)
        self.rules = self.rules.in_world(made.rules)
        for shard in range(self._count):
            await self.start_shard(shard)
        if self.rules.demo:
            await seat_demo_actors(self.redis, self.shards, self.rules, account_id=DEV_ACCOUNT_ID)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.router.close()
        for shard in list(self._tasks):
            await self.kill_shard(shard)
        await self.batch.close()

    async def metrics(self) -> bytes:
        """See ``ClusterClient.metrics``: the shards', and those of this process as its one gateway."""
        return await self._metrics.page()

    def _metric_sources(self) -> Sources:
        async def of_gateway() -> Report:
            return Report("gateway-0", INCARNATION, metrics.families())

        async def of_shard(runtime: ShardRuntime) -> Report:
            return shard_report(runtime, f"{INCARNATION}-{runtime.journal.epoch}")

        shards = {f"shard-{number}": partial(of_shard, runtime) for number, runtime in self.shards.runtimes.items()}
        return {**shards, "gateway-0": of_gateway}

    async def start_shard(self, shard: int) -> ShardRuntime:
        """Begin an epoch of a shard, as Ray does after a crash."""
        direct = DirectRedis(self.redis)
        runtime = await ShardRuntime.start(self.redis, shard, self.rules, self.config, self.shards, direct)
        self._direct[shard] = direct
        self.shards.runtimes[shard] = runtime
        self._tasks[shard] = asyncio.create_task(runtime.run(), name=f"shard-{shard}")
        return runtime

    async def kill_shard(self, shard: int) -> None:
        """End a shard at once, wherever it is, without a last commit."""
        self.shards.runtimes.pop(shard, None)
        await end(self._tasks.pop(shard))
        await self._direct.pop(shard).aclose()
