"""A load that comes and goes in a Ray cluster that adds and removes nodes; prints one JSON line.

Usage: python -m tests.chaos.autoscale_scenario AGENTS CROWD SCALE_CPU

AGENTS play over gateways, and a CROWD talks straight to the shards, which makes them busy at little cost elsewhere.
SCALE_CPU: the share of a core above which a shard is added.  Run it as a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import ray

from cluster import deploy
from cluster.peers import ShardUnavailable
from cluster.ray_clients import NamedActors, connected_shards
from cluster.router import Router
from config.settings import Settings
from embedded.children import free_port
from embedded.services import EmbeddedServices
from migrations.run import upgrade
from streaming import keys
from streaming.batch import RedisBatch
from streaming.connect import connect
from tests.chaos.autoscaling_ray import autoscaling_ray
from tests.chaos.scene import Scene, scratch, services_in
from tests.cluster.worlds import Player, until

SHARDS = (1, 3)
NODES = (1, 3)
STEP_S = 300.0
LOOK_S = 2.0
TALK_S = 0.25
#: Agents that a chunk takes who come into the world.
CHUNK_FULL = 40


class Crowd:
    """Players who talk all the time, by a router of their own as a gateway has one."""

    def __init__(self, redis: Any, settings: Settings, count: int) -> None:
        self._redis = redis
        self._batch = RedisBatch(redis)
        shards = connected_shards(NamedActors(settings.ray_namespace))
        self._router = Router(redis, self._batch, shards, spawn_capacity=CHUNK_FULL)
        self._players = [Player(redis, self._router, f"crowd-{number}") for number in range(count)]

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Let them talk while the block runs."""
        for player in self._players:
            await player.join()
        talking = [asyncio.create_task(self._talk(player)) for player in self._players]
        try:
            yield
        finally:
            for task in talking:
                task.cancel()
            ended = await asyncio.gather(*talking, return_exceptions=True)
            await self._redis.zadd(keys.PRESENCE, {player.agent_id: 0 for player in self._players})  # they leave
            await self._router.close()
            await self._batch.close()
        assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended

    @staticmethod
    async def _talk(player: Player) -> None:
        while True:
            with contextlib.suppress(ShardUnavailable):
                await player.submit({"type": "say", "text": "so many here"})
            await asyncio.sleep(TALK_S)


class Watch:
    """What there was, over time."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._began = time.monotonic()
        self.seen: list[tuple[float, int, int, list[float]]] = []

    async def run(self) -> None:
        """Look at the status for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            if found := await self._redis.get(keys.STATUS):
                self._note(orjson.loads(found))

    def _note(self, status: dict[str, Any]) -> None:
        nodes = sum(1 for node in status["nodes"] if node["alive"] and node["cpus"])
        cpus = [
            actor["cpu"] for name, actor in status["actors"].items() if name.startswith("shard-") and "cpu" in actor
        ]
        self.seen.append((round(time.monotonic() - self._began, 1), status["shards"], nodes, cpus))

    async def at(self, shards: int, nodes: int) -> bool:
        """Whether there are so many now."""
        return bool(self.seen) and self.seen[-1][1:3] == (shards, nodes)

    def steps(self) -> list[tuple[float, int, int, float]]:
        """Seconds, shards, nodes and the cores that all shards used, when one of the numbers had changed."""
        found: list[tuple[float, int, int, float]] = []
        for at_s, shards, nodes, cpus in self.seen:
            if not found or found[-1][1:3] != (shards, nodes):
                found.append((at_s, shards, nodes, round(sum(cpus), 3)))
        return found


async def scenario(services: EmbeddedServices, settings: Settings, agents: int, talkers: int) -> dict[str, Any]:
    deployment = await deploy.start(settings)
    redis = connect(settings.redis_url)
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    stage = Scene(services, deployment, redis, random.Random(seed))
    watch = Watch(redis)
    watching = asyncio.create_task(watch.run())
    try:
        crowd = Crowd(redis, settings, talkers)
        async with stage.playing(agents), crowd.talking():
            await until(lambda: watch.at(SHARDS[1], NODES[1]), f"grown: {watch.steps()}", STEP_S)
        await until(lambda: watch.at(SHARDS[0], NODES[0]), f"shrunk: {watch.steps()}", STEP_S)
        ledger = stage.ledger
        return {
            "seed": seed,
            "accepted": len(ledger.accepted),
            "unsettled": ledger.unsettled,
            "holes": ledger.holes,
            "findings": await stage.findings(),
            "steps": watch.steps(),
            "log": stage.log,
        }
    finally:
        print(orjson.dumps(watch.seen[::5]).decode(), file=sys.stderr)
        watching.cancel()
        await redis.aclose()
        await deployment.stop()


def main(agents: str, crowd: str, scale_cpu: str) -> None:
    with scratch() as directory:
        services = services_in(directory)
        urls = services.start()
        asyncio.run(upgrade(urls.database_url))
        try:
            with autoscaling_ray(Path(directory), cpus=2, least=NODES[0], most=NODES[1], idle_s=6) as address:
                settings = Settings(
                    environment="test",
                    ray_address=address,
                    redis_url=urls.redis_url,
                    database_url=urls.database_url,
                    port=free_port(),
                    tick_hz=2,  # an idle shard uses less, and a busy one hardly
                    data_dir=directory,
                    shards=SHARDS[0],
                    shards_max=SHARDS[1],
                    shard_cpus=1.25,  # one on each node, with a gateway beside it
                    gateway_cpus=0.25,
                    scale_cpu=float(scale_cpu),
                    scale_down_after_s=20,
                    nodes_min=NODES[0],
                    regen_ticks=0,
                    collect_idle_s=3_600,
                    demo=False,
                    drain_s=2,
                    log_dir=os.environ.get("AUTOSCALE_LOGS", ""),
                )
                try:
                    found = asyncio.run(_when_up(services, settings, int(agents), int(crowd)))
                except BaseException:
                    print((Path(directory) / "ray.log").read_text()[-4000:], file=sys.stderr)
                    raise
        finally:
            ray.shutdown()
            services.stop()
    print(orjson.dumps(found).decode())


async def _when_up(services: EmbeddedServices, settings: Settings, agents: int, talkers: int) -> dict[str, Any]:
    host, _, port = settings.ray_address.rpartition(":")

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        return True

    await until(answers, "Ray is up", 60)
    return await scenario(services, settings, agents, talkers)


if __name__ == "__main__":
    main(*sys.argv[1:])
