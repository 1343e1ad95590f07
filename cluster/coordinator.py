"""``Coordinator``: the actor that keeps the cluster's actors as they should be.

It holds no state that can't be read again: how many shards there are to be stands in Redis (``world.shard_count``),
how many gateways in the settings.  Every pass compares that with what is there and makes what is missing.  Shards
and gateways are detached actors of their own, so they outlive a coordinator that dies, and Ray restarts each by
itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Collection
from dataclasses import asdict
from itertools import islice
from typing import Any, Final

import orjson
import ray
import structlog
from ray.actor import ActorHandle
from redis.exceptions import RedisError

from api.accounts.auth import DEV_ACCOUNT_ID
from cluster import graph
from cluster.actor_classes import (
    ArchiverActor,
    CoordinatorMoverActor,
    GatewayActor,
    ShardActor,
    first_answer,
)
from cluster.actor_loop import run_or_exit
from cluster.actor_metrics import actor_sources, cluster_families
from cluster.actor_options import (
    archiver_name,
    archiver_options,
    coordinator_mover_options,
    gateway_options,
    shard_options,
)
from cluster.balancer import Balancer, Progress
from cluster.configs import balance_rules, rules_of
from cluster.demo_world import seat_demo_actors
from cluster.drain.drained_nodes import DrainedNodes
from cluster.drain.ray_nodes import dead_nodes
from cluster.gateway_policy import GatewayLoad, GatewayPolicy
from cluster.load_reports import take_loads
from cluster.messages import ShardLoad
from cluster.metrics_collector import MetricsCollector
from cluster.peers import ShardUnavailable
from cluster.ray_clients import (
    COORDINATOR,
    COORDINATOR_MOVER,
    NamedActors,
    RayShardClient,
    WorldActor,
    gateway_name,
    here,
    shard_name,
)
from cluster.release import release_of
from cluster.scale.scaling import Scaling, scale_bounds
from cluster.stored_format import raise_format
from config.logs import configure_logging
from config.settings import Settings
from streaming import keys
from streaming.connect import connect

log = structlog.get_logger(__name__)

PASS_INTERVAL_S: Final = 2.0
UP_TIMEOUT_S: Final = 20.0
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
        #: Gateways that drain, maybe since a coordinator before this one has told them to.
        self._half_ended: set[str] = set()
        #: Gateways that are being ended.
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._nodes = DrainedNodes(self._redis, settings)
        self._scaling: Scaling
        self._balancer = Balancer(self._redis, self._shards, balance_rules(settings))
        sources = actor_sources(self._actors, lambda: self._handles, self._balancer)
        self._metrics = MetricsCollector(self._redis, sources, cluster_families)
        self._changing = asyncio.Lock()
        self._ready = asyncio.Event()
        self._draining = False
        self._loop = run_or_exit(COORDINATOR, self._run())

    async def _run(self) -> None:
        info = await graph.read_world(self._redis)
        if info is None:
            raise RuntimeError("no world in this Redis: `chunkcrawl up` makes it")
        rules = rules_of(self._settings, info.rules)
        self._scaling = Scaling(self._redis, self._settings, tick_hz=rules.tick_hz)
        await self._nodes.look()
        await self._match_running_actors()
        await self._reconcile()
        while not await self._all_up():
            await self._pass()  # some wait for a node, which may be drained or added meanwhile
        if rules.demo:
            await seat_demo_actors(self._redis, self._shards, rules, account_id=DEV_ACCOUNT_ID)
        self._ready.set()
        while not self._draining:
            await asyncio.sleep(PASS_INTERVAL_S)
            await self._pass()

    async def _pass(self) -> None:
        """Compare once what should be with what is; a lost dependency puts it off to the next pass."""
        try:
            await self._nodes.look()
            async with self._changing:
                await self._match_running_actors()
                await self._reconcile()
            await self._scale_as_wished()
            self._balancer.emptied, self._balancer.closed = self._leaving_shards()
            await self._balancer.run(list(self._shard_loads.values()))
            described = await self.describe()
            self._loads = gateway_loads(described["actors"])
            self._half_ended = {name for name, actor in described["actors"].items() if actor.get("draining")}
            status = orjson.dumps(described)
            await self._redis.set(keys.STATUS, status, ex=STATUS_TTL_S)
            await raise_format(self._redis, (release_of(actor).format for actor in described["actors"].values()))
            await self._scale_by_load(described)
            await self._move_off()
        except (RedisError, OSError, TimeoutError, ray.exceptions.RayError) as error:
            log.warning("pass_put_off", error=repr(error))

    async def _reconcile(self) -> None:
        owners = set((await graph.chunk_owners(self._redis)).values())
        most = max(await self._counts())
        for shard in sorted(owners.union(range(most))):
            await self._ensure_shard(shard)
        await self._reconcile_gateways()
        await self._ensure_archiver()
        await self._retire(most, owners)

    async def _ensure_shard(self, shard: int) -> None:
        await self._ensure(
            shard_name(shard), ShardActor, shard_options(self._settings, shard, self._nodes.avoid), shard
        )

    async def _ensure_archiver(self) -> None:
        await self._ensure(archiver_name(0), ArchiverActor, archiver_options(self._settings, 0, self._nodes.avoid), 0)

    async def _reconcile_gateways(self) -> None:
        """Have as many gateways as there should be, drained nodes not counted; those there end once others serve."""
        names = {number: gateway_name(number) for number in self._numbers("gateway-")}
        ours = {name for number, name in names.items() if number not in self._leaving}
        going = {*self._nodes.left_on(ours), *self._half_ended & ours}
        staying = [number for number, name in names.items() if number not in self._leaving and name not in going]
        loads = [self._loads[names[number]] for number in staying if names[number] in self._loads]
        wanted = self._policy.wanted(len(staying), self._nodes.usable, loads)
        for gateway in free_numbers(names, wanted - len(staying)):
            options = gateway_options(self._settings, gateway, self._nodes.avoid)
            await self._ensure(gateway_name(gateway), GatewayActor, options, gateway)
        too_many = sorted(staying)[wanted:]
        if len(loads) >= wanted:
            too_many += [number for number, name in names.items() if name in going]
        for gateway in too_many:
            self._leaving[gateway] = asyncio.create_task(self._end_gateway(gateway))

    def _numbers(self, prefix: str) -> list[int]:
        return sorted(int(name.removeprefix(prefix)) for name in self._handles if name.startswith(prefix))

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
        self._nodes.made_anew(name)
        self._half_ended.discard(name)
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
            if name == COORDINATOR_MOVER and here()["node"] not in self._nodes.avoid:
                with contextlib.suppress(ValueError):  # it has made us, and is of no more use
                    mover = await asyncio.to_thread(ray.get_actor, name, self._settings.ray_namespace)
                    ray.kill(mover, no_restart=True)
            elif name.startswith(("shard-", "gateway-")):
                with contextlib.suppress(ValueError):  # it has died since
                    self._handles[name] = await asyncio.to_thread(ray.get_actor, name, self._settings.ray_namespace)

    async def _retire(self, shard_count: int, owners: set[int]) -> None:
        """End shards beyond the count once they own nothing."""
        for name in [name for name in self._handles if name.startswith("shard-")]:
            shard = int(name.removeprefix("shard-"))
            if shard >= shard_count and shard not in owners:
                await self._end_actor(name, STOP_TIMEOUT_S)

    # -- drained nodes --

    def _leaving_shards(self) -> tuple[list[int], list[int]]:
        """Return the shards that are on drained nodes, and those that don't answer."""
        names = {shard_name(shard): shard for shard in self._numbers("shard-")}
        return [names[one] for one in self._nodes.left_on(names)], [names[one] for one in self._nodes.silent(names)]

    async def _move_off(self) -> None:
        """Make anew elsewhere what is on a drained node: shards once they are empty, the coordinator itself last.

        Where all shards are on drained nodes, one is moved with its chunks, which stand still for that long.
        """
        if not self._nodes.avoid:
            return
        shards, silent = self._leaving_shards()
        owners = set((await graph.chunk_owners(self._redis)).values())
        movable = [shard for shard in shards if shard not in owners]
        if not movable and not silent and len(shards) == len(self._numbers("shard-")):
            movable = shards[:1]
        async with self._changing:
            for shard in movable:
                await self._end_actor(shard_name(shard), STOP_TIMEOUT_S)
                await self._ensure_shard(shard)
            if self._nodes.left_on([archiver_name(0)]):
                await self._end_actor(archiver_name(0), STOP_TIMEOUT_S)
                await self._ensure_archiver()
        if here()["node"] in self._nodes.avoid and not self._nodes.left_on(self._handles):
            arguments = (self._settings, sorted(self._nodes.avoid))
            options = coordinator_mover_options(self._settings, self._nodes.avoid)
            await asyncio.to_thread(_create, CoordinatorMoverActor, options, arguments)

    async def _all_up(self) -> bool:
        """Wait a while for every actor's first answer; return whether they have come."""
        try:
            async with asyncio.timeout(UP_TIMEOUT_S):
                await asyncio.gather(*(first_answer(handle) for handle in self._handles.values()))
        except (TimeoutError, ray.exceptions.RayError) as error:
            log.info("actors_awaited", error=repr(error))
            return False
        return True

    async def ready(self) -> bool:
        """Return True once every shard and gateway has answered for the first time."""
        await self._ready.wait()
        return True

    async def _scale_as_wished(self) -> None:
        """Change the number of shards to what Redis says, where ``chunkcrawl scale`` and ``Scaling`` leave their wish.

        The new ones are up before the count changes; nothing waits for them while they wait for a node to be added.
        """
        count, wished = await self._counts()
        if wished == count or self._nodes.silent(map(shard_name, range(wished))):
            return
        self._balancer.progress = Progress()
        await self._redis.hset(keys.WORLD, "shard_count", str(wished))
        log.info("scaling", shards=wished)

    async def _counts(self) -> tuple[int, int]:
        """Return how many shards the world has, and how many it is to have."""
        count, wish = await self._redis.hmget(keys.WORLD, ["shard_count", keys.WANTED_SHARDS])
        return int(count or 0), int(wish or count or 0)

    async def _scale_by_load(self, described: dict[str, Any]) -> None:
        count, wished = await self._counts()
        now = time.monotonic()
        wanted = await self._scaling.shards(wished, self._shard_loads, now)
        settled = count == wanted and not described["misplaced"] and not self._leaving
        settled = settled and not self._nodes.silent(self._handles)
        await self._scaling.nodes(self._nodes.hosts, self._nodes.avoid, now, settled=settled)

    async def describe(self) -> dict[str, Any]:
        """Return every actor's own description, by name; an error text for one that does not answer."""
        names = sorted(self._handles)
        found = await asyncio.gather(*(self._describe_one(name) for name in names))
        moving = self._balancer.progress.describe()
        info = await graph.read_world(self._redis)
        count = info.shard_count if info else 0
        rules = asdict(info.rules) if info and info.rules else {}
        misplaced = await self._balancer.misplaced()
        actors = dict(zip(names, found, strict=True))
        self._shard_loads = take_loads(actors)
        self._nodes.heard({**actors, COORDINATOR: here()})
        return {
            **here(),
            "actors": actors,
            "nodes": self._nodes.describe() + await asyncio.to_thread(dead_nodes),
            "moving": moving,
            "shards": count,
            "bounds": scale_bounds(self._settings),
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
    """Return what the gateways carry that have answered and take connections."""
    return {
        name: GatewayLoad(actor["connections"], actor["cpu"])
        for name, actor in actors.items()
        if name.startswith("gateway-") and actor.get("started") and not actor.get("draining")
    }


def free_numbers(taken: Collection[int], count: int) -> list[int]:
    """Return the ``count`` lowest numbers that are not taken."""
    return list(islice((number for number in itertools.count() if number not in taken), max(0, count)))


def _create(cls: type, options: dict[str, Any], args: tuple[Any, ...]) -> ActorHandle[Any]:
    actor: Any = ray.remote(cls)
    handle: ActorHandle[Any] = actor.options(**options).remote(*args)
    return handle
