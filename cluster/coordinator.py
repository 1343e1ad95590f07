"""``Coordinator``: the actor that keeps the cluster's actors as they should be.

It holds no state that can't be read again: how many shards there are to be stands in Redis (``world.shard_count``),
how many gateways in the settings.  Every pass compares that with what is there and makes what is missing.  Shards
and gateways are detached actors of their own, so they outlive a coordinator that dies, and Ray restarts each by
itself.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import ray
import structlog
from ray.actor import ActorHandle

from api.auth import DEV_ACCOUNT_ID
from api.logs import configure_logging
from api.settings import Settings
from cluster import graph
from cluster.actor_options import gateway_options, shard_options
from cluster.configs import rules_of
from cluster.demo_world import seat_demo_actors
from cluster.gateway_actor import Gateway
from cluster.peers import ShardUnavailable
from cluster.ray_clients import NamedActors, RayShardClient, gateway_name, shard_name
from cluster.shard_actor import ChunkShard
from streaming.connect import connect

log = structlog.get_logger(__name__)

PASS_INTERVAL_S = 2.0
START_TIMEOUT_S = 60.0
DESCRIBE_TIMEOUT_S = 2.0
EXIT_FAILED = 70


class Coordinator:
    """Makes shards and gateways, and tells how they are."""

    def __init__(self, settings: Settings) -> None:
        configure_logging(settings)
        self._settings = settings
        self._redis = connect(settings.redis_url)
        self._actors = NamedActors(settings.ray_namespace)
        self._shards = RayShardClient(self._actors)
        self._handles: dict[str, ActorHandle[Any]] = {}
        self._ready = asyncio.Event()
        self._draining = False
        self._life = asyncio.get_running_loop().create_task(self._live())

    async def _live(self) -> None:
        try:
            await self._reconcile()
            await self._wait_for_all()
            rules = rules_of(self._settings)
            if rules.demo:
                await seat_demo_actors(self._redis, self._shards, rules, account_id=DEV_ACCOUNT_ID)
            self._ready.set()
            while not self._draining:
                await asyncio.sleep(PASS_INTERVAL_S)
                await self._reconcile()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a coordinator whose loop has ended must not look alive
            log.error("coordinator_ended", error=repr(error), exc_info=True)
            os._exit(EXIT_FAILED)

    async def _reconcile(self) -> None:
        info = await graph.read_world(self._redis)
        if info is None:
            raise RuntimeError("no world in this Redis: `chunkcrawl up` makes it")
        settings = self._settings
        wanted: dict[str, Any] = {}
        for shard in range(info.shard_count):
            wanted[shard_name(shard)] = (ChunkShard, shard_options(settings, shard), (shard, settings))
        for gateway in range(settings.gateways):
            wanted[gateway_name(gateway)] = (Gateway, gateway_options(settings, gateway), (gateway, settings))
        for name, (cls, options, args) in wanted.items():
            if name not in self._handles:
                # get_if_exists: a coordinator that was restarted takes up those that its former life made.
                self._handles[name] = await asyncio.to_thread(_create, cls, options, args)

    async def _wait_for_all(self) -> None:
        async with asyncio.timeout(START_TIMEOUT_S):
            await asyncio.gather(*(handle.ready.remote() for handle in self._handles.values()))

    async def ready(self) -> bool:
        """True once every shard and gateway has answered for the first time."""
        await self._ready.wait()
        return True

    async def describe(self) -> dict[str, Any]:
        """Every actor's own description, by name; an error text for one that does not answer."""
        names = sorted(self._handles)
        found = await asyncio.gather(*(self._describe_one(name) for name in names))
        return {"actors": dict(zip(names, found, strict=True)), "nodes": len(ray.nodes())}

    async def _describe_one(self, name: str) -> dict[str, Any]:
        try:
            described: dict[str, Any] = await self._actors.call(name, "describe", timeout_s=DESCRIBE_TIMEOUT_S)
        except ShardUnavailable as error:
            return {"error": str(error)}
        return described

    async def drain(self) -> None:
        """Stop gateways, then shards, each after its last work; they may be killed afterwards."""
        self._draining = True
        names = sorted(self._handles)
        for kind, budget_s in (("gateway-", self._settings.drain_s + 2.0), ("shard-", 5.0)):
            stops = [self._actors.call(name, "stop", timeout_s=budget_s) for name in names if name.startswith(kind)]
            for outcome in await asyncio.gather(*stops, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    log.warning("stop_unanswered", error=repr(outcome))


def _create(cls: type, options: dict[str, Any], args: tuple[Any, ...]) -> ActorHandle[Any]:
    handle: ActorHandle[Any] = ray.remote(cls).options(**options).remote(*args)
    return handle
