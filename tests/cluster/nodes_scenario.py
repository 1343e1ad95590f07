"""A world over several Ray nodes on this machine; run as a process of its own, prints one JSON line.

Usage: python -m tests.cluster.nodes_scenario NODES REDIS_URL DATABASE_URL
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from typing import Any

import orjson
import psutil
import ray
from ray.cluster_utils import Cluster

from cluster import deploy
from cluster.peers import ShardUnavailable
from cluster.ray_clients import NamedActors, connected_shards
from cluster.ray_start import RAY_ENVIRONMENT
from cluster.router import Router
from config.settings import Settings
from embedded.children import free_port
from streaming.batch import RedisBatch
from streaming.connect import connect
from tests.cluster.worlds import Player, until, whole

SHARDS = 4
AGENTS = 8

#: A dead or hanging node is found within seconds, as docs/operating.md recommends for small clusters.
HEALTH = {
    "health_check_initial_delay_ms": 1_000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1_000,
    "health_check_failure_threshold": 3,
}


async def places(deployment: deploy.Deployment) -> dict[str, str]:
    """Node of each actor that answers."""
    try:
        actors = (await deployment.describe())["actors"]
    except ShardUnavailable:
        return {}  # the coordinator itself was on the node that died, and is not back yet
    return {name: actor["node"] for name, actor in actors.items() if "node" in actor}


async def play(players: list[Player], stop: asyncio.Event) -> None:
    """Everybody walks out of the hall and back until told to stop."""

    async def one(player: Player, number: int) -> None:
        targets = [(49, 23 + number % 4), (3, 24), (0, 23 + number % 4), (25, 20 + number)]
        step = number
        while not stop.is_set():
            x, y = targets[step % 4]
            step += 1
            if (await player.submit({"type": "move_to", "x": x, "y": y})).accepted:
                await player.result()
            else:
                await asyncio.sleep(0.2)

    await asyncio.gather(*(one(player, number) for number, player in enumerate(players)))


async def scenario(cluster: Any, settings: Settings) -> dict[str, Any]:
    deployment = await deploy.start(settings)
    redis = connect(settings.redis_url)
    batch = RedisBatch(redis)
    router = Router(redis, batch, connected_shards(NamedActors(settings.ray_namespace)), spawn_capacity=64)
    players = [Player(redis, router, f"a{number}") for number in range(AGENTS)]
    for player in players:
        await player.join()
    stop = asyncio.Event()
    playing = asyncio.create_task(play(players, stop))
    before = await places(deployment)
    await asyncio.sleep(3)

    head = cluster.head_node.node_id
    victim = next(node for node in cluster.list_all_nodes() if node.node_id != head and node.node_id in before.values())
    lost = [name for name, node in before.items() if node == victim.node_id]
    killed_at = time.monotonic()
    raylet = victim.all_processes["raylet"][0].process.pid
    workers = psutil.Process(raylet).children(recursive=True)
    for process in [psutil.Process(raylet), *workers]:
        os.kill(process.pid, signal.SIGKILL)

    async def back() -> dict[str, str] | None:
        now = await places(deployment)
        return now if set(now) == set(before) and victim.node_id not in now.values() else None

    after = await until(back, "every actor on a living node", 60)
    recovered_s = time.monotonic() - killed_at
    await asyncio.sleep(2)
    stop.set()
    await asyncio.wait_for(playing, 60)
    unsettled = {}
    for player in players:
        results = Counter(payload["server_cmd_id"] for _, payload in await player.events("command_result"))
        if results != Counter(player.accepted):
            unsettled[player.agent_id] = [dict(results), player.accepted]
    findings = await whole(redis, [player.agent_id for player in players])
    await deployment.stop()
    await router.close()
    await batch.close()
    await redis.aclose()
    return {
        "before": before,
        "after": after,
        "lost": lost,
        "recovered_s": round(recovered_s, 2),
        "commands": sum(len(player.accepted) for player in players),
        "unsettled": unsettled,
        "findings": [str(finding) for finding in findings],
    }


def main() -> None:
    nodes, redis_url, database_url = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    os.environ.update(RAY_ENVIRONMENT)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "_system_config": HEALTH})
    for _ in range(nodes - 1):
        cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    settings = Settings(
        environment="test",
        ray_address=cluster.address,
        redis_url=redis_url,
        database_url=database_url,
        port=free_port(),
        shards=SHARDS,
        gateways=2,
        shard_cpus=0.25,
        gateway_cpus=0.25,
        demo=False,
        drain_s=1,
        log_level="warning",
        recordings=False,
    )
    try:
        found = asyncio.run(scenario(cluster, settings))
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
    print(orjson.dumps(found).decode())


if __name__ == "__main__":
    main()
