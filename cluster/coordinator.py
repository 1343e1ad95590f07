"""``Coordinator``: the actor that keeps the cluster's actors as they should be.

It holds no state that can't be read again: how many shards there are to be stands in Redis (``world.shard_count``),
how many gateways in the settings.  Every pass compares that with what is there and makes what is missing.  Shards
and gateways are detached actors of their own, so they outlive a coordinator that dies, and Ray restarts each by
itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any, Final

import orjson
import ray
import structlog
from redis.exceptions import RedisError

from api.accounts.auth import DEV_ACCOUNT_ID
from cluster import graph
from cluster.actor_classes import ArchiverActor, CoordinatorMoverActor, ShardActor
from cluster.actor_loop import run_or_exit
from cluster.actor_metrics import actor_sources, cluster_families
from cluster.actor_options import archiver_name, archiver_options, coordinator_mover_options, on_node, shard_options
from cluster.balancer import Balancer, Progress
from cluster.configs import balance_rules, rules_of
from cluster.demo_world import seat_demo_actors
from cluster.drain.drained_nodes import DrainedNodes
from cluster.drain.evening import NodeEvener
from cluster.drain.nodes import short
from cluster.drain.ray_nodes import dead_nodes
from cluster.gateway_count import GatewayCount
from cluster.hour import Hour, keep, keep_loads
from cluster.load_reports import take_loads
from cluster.messages import ShardLoad
from cluster.metrics_collector import MetricsCollector
from cluster.pins import read_pins
from cluster.ray_clients import COORDINATOR, NamedActors, RayShardClient, here, shard_name
from cluster.release import RELEASE, release_of
from cluster.scale.scaling import Scaling, scale_bounds
from cluster.stored_format import raise_format
from cluster.world_actors import WorldActors, make_actor
from config.logs import configure_logging
from config.settings import Settings
from streaming import keys
from streaming.connect import connect
from streaming.shared_clock import now_ms

log = structlog.get_logger(__name__)

PASS_INTERVAL_S: Final = 2.0
STOP_TIMEOUT_S: Final = 5.0
STATUS_TTL_S: Final = 30


class Coordinator:
    """Makes shards and gateways, and tells how they are."""

    def __init__(self, settings: Settings) -> None:
        configure_logging(settings, actor=COORDINATOR)
        self._settings = settings
        self._redis = connect(settings.redis_url)
        named = NamedActors(settings.ray_namespace)
        self._shards = RayShardClient(named)
        self._actors = WorldActors(named, settings.ray_namespace)
        #: What the shards that answered last said of themselves, by number.
        self._shard_loads: dict[int, ShardLoad] = {}
        self._nodes = DrainedNodes(self._redis, settings)
        self._evener = NodeEvener()
        self._gateways = GatewayCount(settings, self._actors, self._nodes, self._end_actor)
        self._scaling: Scaling
        self._hour = Hour()
        self._balancer = Balancer(self._redis, self._shards, balance_rules(settings))
        sources = actor_sources(named, self._actors.names, self._balancer)
        self._metrics = MetricsCollector(self._redis, sources, cluster_families)
        self._changing = asyncio.Lock()
        self._ready = asyncio.Event()
        self._draining = False
        self._archiver_renewed = False
        self._loop = run_or_exit(COORDINATOR, self._run())

    async def _run(self) -> None:
        info = await graph.read_world(self._redis)
        if info is None:
            raise RuntimeError("no world in this Redis: `chunkcrawl up` makes it")
        rules = rules_of(self._settings, info.rules)
        self._scaling = Scaling(self._redis, self._settings, tick_hz=rules.tick_hz)
        await self._nodes.look()
        await self._match_running_actors()
        await self._reconcile(*await self._counts())
        while not await self._actors.all_up():
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
            count, wished = await self._counts()
            async with self._changing:
                await self._match_running_actors()
                await self._reconcile(count, wished)
            await self._scale_as_wished(count, wished)
            leaving, self._balancer.closed = self._leaving_shards()
            self._balancer.emptied = leaving + ([self._evener.move.shard] if self._evener.move else [])
            await self._balancer.run(list(self._shard_loads.values()))
            described = await self.describe()
            self._gateways.heard(described["actors"])
            status = orjson.dumps(described)
            await self._redis.set(keys.STATUS, status, ex=STATUS_TTL_S)
            await keep_loads(self._redis, self._shard_loads, STATUS_TTL_S)
            if (point := self._hour.note(described, now_ms())) is not None:
                await keep(self._redis, point)
            await raise_format(self._redis, (release_of(actor).format for actor in described["actors"].values()))
            settled = await self._scale_by_load(described)
            await self._move_off()
            await self._even_out(settled)
            await self._renew_archiver(described["actors"].get(archiver_name(0), {}))
        except (RedisError, OSError, TimeoutError, ray.exceptions.RayError) as error:
            log.warning("pass_put_off", error=repr(error))

    async def _match_running_actors(self) -> None:
        await self._actors.match_running(mover_is_done=here()["node"] not in self._nodes.avoid)

    async def _reconcile(self, count: int, wished: int) -> None:
        """Have the actors that there are to be: shards for what the world has and for what it is to have."""
        owners = set((await graph.chunk_owners(self._redis)).values())
        most = max(count, wished)
        for shard in sorted(owners.union(range(most))):
            await self._ensure_shard(shard)
        await self._gateways.reconcile()
        await self._ensure_archiver()
        await self._retire(most, owners)

    async def _ensure_shard(self, shard: int, node_id: str | None = None) -> None:
        options = shard_options(self._settings, shard, self._nodes.avoid)
        if node_id is not None:
            options = on_node(options, node_id)
        await self._actors.ensure(shard_name(shard), ShardActor, options, (shard, self._settings))

    async def _ensure_archiver(self, node_id: str | None = None) -> None:
        options = archiver_options(self._settings, 0, self._nodes.avoid)
        if node_id is not None:
            options = on_node(options, node_id)
        await self._actors.ensure(archiver_name(0), ArchiverActor, options, (0, self._settings))

    async def _end_actor(self, name: str, timeout_s: float) -> None:
        """Let an actor finish its work, keep what it counted, and take it away for good."""
        await self._actors.end(name, timeout_s, self._metrics.ended)
        self._nodes.made_anew(name)

    async def _retire(self, shard_count: int, owners: set[int]) -> None:
        """End shards beyond the count once they own nothing."""
        for shard in self._actors.numbers("shard-"):
            if shard >= shard_count and shard not in owners:
                await self._end_actor(shard_name(shard), STOP_TIMEOUT_S)

    # -- drained nodes --

    def _leaving_shards(self) -> tuple[list[int], list[int]]:
        """Return the shards that are on drained nodes, and those that don't answer."""
        names = {shard_name(shard): shard for shard in self._actors.numbers("shard-")}
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
        if not movable and not silent and len(shards) == len(self._actors.numbers("shard-")):
            movable = shards[:1]
        async with self._changing:
            for shard in movable:
                await self._end_actor(shard_name(shard), STOP_TIMEOUT_S)
                await self._ensure_shard(shard)
            if self._nodes.left_on([archiver_name(0)]):
                await self._end_actor(archiver_name(0), STOP_TIMEOUT_S)
                await self._ensure_archiver()
        if here()["node"] in self._nodes.avoid and not self._nodes.left_on(self._actors.names()):
            arguments = (self._settings, sorted(self._nodes.avoid))
            options = coordinator_mover_options(self._settings, self._nodes.avoid)
            await asyncio.to_thread(make_actor, CoordinatorMoverActor, options, arguments)

    async def _even_out(self, settled: bool) -> None:
        """Have a node that came back, or was added, carry shards too; not where nodes are to become empty by load.

        The shard gives its chunks away first, is ended when it has none, and made anew there.  Killed in between, the
        next coordinator makes it anew wherever Ray puts it, and the nodes are looked at again.
        """
        if self._settings.nodes_min or self._nodes.usable < 2:
            self._evener.done()
            return
        settled = settled and not self._nodes.left_on(self._actors.names())
        pins, owners = await read_pins(self._redis), await graph.chunk_owners(self._redis)
        stay = pins.shards | {owner for chunk_id, owner in owners.items() if chunk_id in pins.chunks}
        loads = {shard: load.cpu for shard, load in self._shard_loads.items() if shard not in stay}
        move = self._evener.look(self._nodes.hosts, self._nodes.avoid, loads, time.monotonic(), settled=settled)
        if move is None or move.shard in owners.values():
            return
        async with self._changing:
            await self._end_actor(shard_name(move.shard), STOP_TIMEOUT_S)
            await self._ensure_shard(move.shard, move.node_id)
        self._evener.done()
        log.info("shard_moved_to_node", shard=move.shard, to_node=short(move.node_id))

    async def _renew_archiver(self, described: dict[str, Any]) -> None:
        """Make an archiver of another release anew on our own node, which has our code.

        Asking for no CPU, it may be on Ray's head, which nobody drains.  It is tried once: our node may have no room.
        """
        node = here()["node"]
        if self._archiver_renewed or "node" not in described or release_of(described) == RELEASE:
            return
        if node not in self._nodes.avoid:
            self._archiver_renewed = True
            async with self._changing:
                await self._end_actor(archiver_name(0), STOP_TIMEOUT_S)
                await self._ensure_archiver(node)

    async def ready(self) -> bool:
        """Return True once every shard and gateway has answered for the first time."""
        await self._ready.wait()
        return True

    async def _scale_as_wished(self, count: int, wished: int) -> None:
        """Change the number of shards to what Redis says, where ``chunkcrawl scale`` and ``Scaling`` leave their wish.

        The new ones are up before the count changes; nothing waits for them while they wait for a node to be added.
        """
        if wished == count or self._nodes.silent(map(shard_name, range(wished))):
            return
        self._balancer.progress = Progress()
        await self._redis.hset(keys.WORLD, "shard_count", str(wished))
        log.info("scaling", shards=wished)

    async def _counts(self) -> tuple[int, int]:
        """Return how many shards the world has, and how many it is to have."""
        count, wish = await self._redis.hmget(keys.WORLD, ["shard_count", keys.WANTED_SHARDS])
        return int(count or 0), int(wish or count or 0)

    async def _scale_by_load(self, described: dict[str, Any]) -> bool:
        """Decide about shards and nodes; return whether there are as many actors as there should be, and all answer."""
        count, wished = await self._counts()  # anew: moving chunks takes its time, and operators wish meanwhile
        now = time.monotonic()
        wanted = await self._scaling.shards(wished, self._shard_loads, now)
        settled = count == wanted and not self._gateways.leaving and not self._nodes.silent(self._actors.names())
        placed = settled and not described["misplaced"]
        await self._scaling.nodes(self._nodes.hosts, self._nodes.avoid, now, settled=placed)
        return settled

    async def describe(self) -> dict[str, Any]:
        """Return every actor's own description, by name; an error text for one that does not answer."""
        actors = await self._actors.describe()
        moving = self._balancer.progress.describe()
        info = await graph.read_world(self._redis)
        misplaced = await self._balancer.misplaced()
        self._shard_loads = take_loads(actors)
        self._nodes.heard({**actors, COORDINATOR: here()})
        return {
            **here(),
            "actors": actors,
            "nodes": self._nodes.describe() + await asyncio.to_thread(dead_nodes),
            "moving": moving,
            "shards": info.shard_count if info else 0,
            "bounds": scale_bounds(self._settings),
            "rules": asdict(info.rules) if info and info.rules else {},
            "misplaced": misplaced,
            "balance": self._balancer.describe(),
        }

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
        for kind, budget_s in (("gateway-", self._settings.drain_s + 2.0), ("shard-", 5.0), ("archiver-", 5.0)):
            await self._actors.stop(kind, budget_s)
