"""``Coordinator``: the actor that keeps the cluster's actors as they should be.

It holds no state that can't be read again: how many shards there are to be stands in Redis (``world.shard_count``),
how many gateways in the settings.  Every pass compares that with what is there and makes what is missing.  Shards
and gateways are detached actors of their own, so they outlive a coordinator that dies, and Ray restarts each by
itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from typing import Any, Final

import orjson
import ray
import structlog
from ray.actor import ActorHandle
from redis.exceptions import RedisError

from api.accounts.auth import DEV_ACCOUNT_ID
from cluster import graph
from cluster.actor_loop import run_or_exit
from cluster.actor_metrics import actor_sources, cluster_families
from cluster.actor_options import archiver_name, archiver_options, gateway_options, shard_options
from cluster.archiver_actor import ChunkArchiver
from cluster.balancer import Balancer, Progress
from cluster.configs import balance_rules, rules_of
from cluster.demo_world import seat_demo_actors
from cluster.gateway_actor import Gateway
from cluster.gateway_policy import GatewayLoad, GatewayPolicy
from cluster.load_reports import take_loads
from cluster.messages import ShardLoad
from cluster.metrics_collector import MetricsCollector
from cluster.peers import ShardUnavailable
from cluster.ray_clients import COORDINATOR, NamedActors, RayShardClient, WorldActor, gateway_name, here, shard_name
from cluster.shard_actor import ChunkShard
from config.logs import configure_logging
from config.settings import Settings
from streaming import keys
from streaming.connect import connect

log = structlog.get_logger(__name__)

PASS_INTERVAL_S: Final = 2.0
START_TIMEOUT_S: Final = 60.0
DESCRIBE_TIMEOUT_S: Final = 2.0
STOP_TIMEOUT_S: Final = 5.0
STATUS_TTL_S: Final = 30


class Coordinator:
    """Makes shards and gateways, and tells how they are."""

    def __init__(self, settings: Settings) -> None:
        configure_logging(settings, actor=COORDINATOR)
        self._settings = settings
        self._redis = connect(settings.redis_url)
        self._actors = NamedActors(settings.ray_namespace)
        self._shards = RayShardClient(self._actors)
        self._handles: dict[str, ActorHandle[Any]] = {}
        self._policy = GatewayPolicy(settings.gateways, settings.gateways_max)
        self._loads: dict[str, GatewayLoad] = {}
        #: What the shards that answered last said of themselves, by number.
        self._shard_loads: dict[int, ShardLoad] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._balancer = Balancer(self._redis, self._shards, balance_rules(settings))
        sources = actor_sources(self._actors, lambda: self._handles, self._balancer)
        self._metrics = MetricsCollector(self._redis, sources, cluster_families)
        self._changing = asyncio.Lock()
        self._ready = asyncio.Event()
        self._draining = False
        self._loop = run_or_exit(COORDINATOR, self._run())

    async def _run(self) -> None:
        await self._match_running_actors()
        await self._reconcile()
        await self._wait_for_all()
        rules = rules_of(self._settings)
        if rules.demo:
            await seat_demo_actors(self._redis, self._shards, rules, account_id=DEV_ACCOUNT_ID)
        self._ready.set()
        while not self._draining:
            await asyncio.sleep(PASS_INTERVAL_S)
            await self._pass()

    async def _pass(self) -> None:
        """Compare once what should be with what is; a lost dependency puts it off to the next pass."""
        try:
            async with self._changing:
                await self._match_running_actors()
                await self._reconcile()
            await self._scale_as_wished()
            await self._balancer.run(list(self._shard_loads.values()))
            described = await self.describe()
            self._loads = gateway_loads(described["actors"])
            status = orjson.dumps(described)
            await self._redis.set(keys.STATUS, status, ex=STATUS_TTL_S)
        except (RedisError, OSError, TimeoutError, ray.exceptions.RayError) as error:
            log.warning("pass_put_off", error=repr(error))

    async def _reconcile(self) -> None:
        info = await graph.read_world(self._redis)
        if info is None:
            raise RuntimeError("no world in this Redis: `chunkcrawl up` makes it")
        owners = set((await graph.chunk_owners(self._redis)).values())
        for shard in sorted(owners.union(range(info.shard_count))):
            await self._ensure(shard_name(shard), ChunkShard, shard_options(self._settings, shard), shard)
        await self._reconcile_gateways()
        await self._ensure(archiver_name(0), ChunkArchiver, archiver_options(self._settings, 0), 0)
        await self._retire(info.shard_count, owners)

    async def _reconcile_gateways(self) -> None:
        nodes = sum(1 for node in await asyncio.to_thread(ray.nodes) if node["Alive"])
        present = 1 + max(self._gateway_numbers(), default=-1)
        wanted = self._policy.wanted(present, nodes, list(self._loads.values()))
        for gateway in range(wanted):
            await self._ensure(gateway_name(gateway), Gateway, gateway_options(self._settings, gateway), gateway)
        for gateway in range(wanted, present):
            if gateway not in self._leaving:
                self._leaving[gateway] = asyncio.create_task(self._end_gateway(gateway))

    def _gateway_numbers(self) -> list[int]:
        names = [name for name in self._handles if name.startswith("gateway-")]
        return [number for name in names if (number := int(name.removeprefix("gateway-"))) not in self._leaving]

    async def _end_gateway(self, gateway: int) -> None:
        """Drain a gateway that is one too many: its clients leave spread over a window, and resume on the others."""
        try:
            await self._end_actor(gateway_name(gateway), self._settings.drain_s + STOP_TIMEOUT_S)
        finally:
            self._leaving.pop(gateway, None)

    async def _end_actor(self, name: str, timeout_s: float) -> None:
        """Let an actor finish its work, keep what it counted, and take it away for good."""
        with contextlib.suppress(ShardUnavailable):
            await self._actors.call(name, timeout_s, WorldActor.stop)
        await self._metrics.ended(name)
        ray.kill(self._handles.pop(name), no_restart=True)
        self._actors.forget(name)
        log.info("actor_retired", actor=name)

    async def _ensure(self, name: str, cls: type, options: dict[str, Any], number: int) -> None:
        """Make the actor if it is not there: a coordinator that was restarted takes up those made before it."""
        if name not in self._handles:
            self._handles[name] = await asyncio.to_thread(_create, cls, options, (number, self._settings))

    async def _match_running_actors(self) -> None:
        """Take up actors that a former coordinator has made; drop those that Ray knows no more, to be made anew."""
        named = await asyncio.to_thread(ray.util.list_named_actors, True)
        ours = {actor["name"] for actor in named if actor["namespace"] == self._settings.ray_namespace}
        for name in [name for name in self._handles if name not in ours]:
            log.warning("actor_missing", actor=name)
            del self._handles[name]
            self._actors.forget(name)
        for name in sorted(ours - self._handles.keys()):
            if name.startswith(("shard-", "gateway-")):
                with contextlib.suppress(ValueError):  # it has died since
                    self._handles[name] = await asyncio.to_thread(ray.get_actor, name, self._settings.ray_namespace)

    async def _retire(self, shard_count: int, owners: set[int]) -> None:
        """End shards beyond the count once they own nothing."""
        for name in [name for name in self._handles if name.startswith("shard-")]:
            shard = int(name.removeprefix("shard-"))
            if shard >= shard_count and shard not in owners:
                await self._end_actor(name, STOP_TIMEOUT_S)

    async def _wait_for_all(self) -> None:
        async with asyncio.timeout(START_TIMEOUT_S):
            await asyncio.gather(*(handle.ready.remote() for handle in self._handles.values()))

    async def ready(self) -> bool:
        """Return True once every shard and gateway has answered for the first time."""
        await self._ready.wait()
        return True

    async def _scale_as_wished(self) -> None:
        """Scale as Redis says, where `chunkcrawl scale` leaves its wish, so that it needs no way into Ray."""
        wish, count = await self._redis.hmget(keys.WORLD, [keys.WANTED_SHARDS, "shard_count"])
        if wish is not None and wish != count:
            await self.scale(int(wish))

    async def scale(self, shards: int) -> None:
        """Change the number of shards: the new ones are up before the count changes, then chunks move one by one."""
        async with self._changing:
            await self._match_running_actors()
            for shard in range(shards):
                await self._ensure(shard_name(shard), ChunkShard, shard_options(self._settings, shard), shard)
            async with asyncio.timeout(START_TIMEOUT_S):
                await asyncio.gather(*(self._handles[shard_name(shard)].ready.remote() for shard in range(shards)))
            self._balancer.progress = Progress()
            await self._redis.hset(keys.WORLD, "shard_count", str(shards))
        log.info("scaling", shards=shards)

    async def describe(self) -> dict[str, Any]:
        """Return every actor's own description, by name; an error text for one that does not answer."""
        names = sorted(self._handles)
        found = await asyncio.gather(*(self._describe_one(name) for name in names))
        nodes = [{"node": node["NodeID"][:8], "alive": node["Alive"]} for node in await asyncio.to_thread(ray.nodes)]
        moving = self._balancer.progress.describe()
        info = await graph.read_world(self._redis)
        count = info.shard_count if info else 0
        rules = asdict(info.rules) if info and info.rules else {}
        misplaced = await self._balancer.misplaced()
        actors = dict(zip(names, found, strict=True))
        self._shard_loads = take_loads(actors)
        return {
            **here(),
            "actors": actors,
            "nodes": nodes,
            "moving": moving,
            "shards": count,
            "rules": rules,
            "misplaced": misplaced,
            "balance": self._balancer.describe(),
        }

    async def _describe_one(self, name: str) -> dict[str, Any]:
        try:
            return await self._actors.call(name, DESCRIBE_TIMEOUT_S, WorldActor.describe)
        except ShardUnavailable as error:
            return {"error": str(error)}

    async def metrics(self) -> bytes:
        """Return the metrics page of the whole cluster.

        Raises:
            RedisError, OSError, TimeoutError: see ``MetricsCollector.page``.
        """
        return await self._metrics.page()

    async def drain(self) -> None:
        """Stop gateways, then shards, then the archiver, each after its last work; they may be killed afterwards."""
        self._draining = True
        await self._metrics.end_all()
        names = sorted(self._handles)
        for kind, budget_s in (("gateway-", self._settings.drain_s + 2.0), ("shard-", 5.0), ("archiver-", 5.0)):
            stops = [self._actors.call(name, budget_s, WorldActor.stop) for name in names if name.startswith(kind)]
            for outcome in await asyncio.gather(*stops, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    log.warning("stop_unanswered", error=repr(outcome))


def gateway_loads(actors: dict[str, Any]) -> dict[str, GatewayLoad]:
    """Return what the gateways that answered carry."""
    return {
        name: GatewayLoad(actor["connections"], actor["cpu"])
        for name, actor in actors.items()
        if name.startswith("gateway-") and "connections" in actor
    }


def _create(cls: type, options: dict[str, Any], args: tuple[Any, ...]) -> ActorHandle[Any]:
    actor: Any = ray.remote(cls)
    handle: ActorHandle[Any] = actor.options(**options).remote(*args)
    return handle
