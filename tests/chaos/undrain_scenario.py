"""A node that is drained and taken back, and then is the only one left; prints one JSON line.

Usage: python -m tests.chaos.undrain_scenario AGENTS

Run it from the tree that ``test_undrain`` makes.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from typing import Any

import orjson

from cluster import deploy
from cluster.drain.nodes import short
from streaming.connect import connect
from tests.chaos.rolling_scenario import READY_S, Rolling, rolling_cluster
from tests.chaos.scene import Scene
from tests.cluster.worlds import until

HALF = 2
BACK_S = 120.0
ALL_S = 120.0


async def scenario(rolling: Rolling, agents: int) -> dict[str, Any]:
    settings = rolling.settings
    deployment = await deploy.start(settings)
    redis = connect(settings.redis_url)
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    stage = Scene(rolling.services, deployment, redis, random.Random(seed))
    node, other = sorted(rolling.cluster.worker_nodes, key=lambda one: one.node_id)
    began = time.monotonic()
    steps: list[tuple[float, int]] = []

    async def shards_here() -> int:
        places = await rolling.places(deployment)
        count: int = sum(name.startswith("shard-") and place == node.node_id for name, place in places.items())
        if not steps or steps[-1][1] != count:
            steps.append((round(time.monotonic() - began, 1), count))
        return count

    async def half() -> bool:
        return await shards_here() == HALF

    async def all_here() -> dict[str, str] | None:
        """Where those are that ask for CPUs, which Ray's head has none of; None until they are all on the node."""
        places = await rolling.places(deployment)
        asking = {name: place for name, place in places.items() if name.startswith(("shard-", "gateway-"))}
        enough = len(asking) >= settings.shards + settings.gateways
        return asking if enough and set(asking.values()) == {node.node_id} else None

    try:
        await until(stage.ready, "the world serves", READY_S)
        async with stage.playing(agents):
            await shards_here()
            drained = await rolling.command("drain", short(node.node_id), "--wait", "100")
            await shards_here()
            undrained = await rolling.command("undrain", short(node.node_id))
            await until(half, "half of the shards are back", BACK_S)
            rolling.cluster.remove_node(other)
            alone = await until(all_here, "everything runs on the one that is left", ALL_S)
        return {
            "seed": seed,
            "node": node.node_id,
            "drained": drained,
            "undrained": undrained,
            "steps": steps,
            "alone": alone,
            "accepted": len(stage.ledger.accepted),
            "unsettled": stage.ledger.unsettled,
            "holes": stage.ledger.holes,
            "findings": await stage.findings(),
            "gold": await stage.gold(),
            "log": stage.log,
        }
    finally:
        print(steps, file=sys.stderr)
        await redis.aclose()
        await deployment.stop()


def main(agents: str) -> None:
    with rolling_cluster(2, os.environ.get("UNDRAIN_LOGS", "")) as (rolling, _):
        found = asyncio.run(scenario(rolling, int(agents)))
    print(orjson.dumps(found).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
