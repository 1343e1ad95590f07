"""Helpers for tests of what lasts: agents that play all the time, and what of two worlds must be equal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import orjson
from redis.asyncio import Redis

from cluster.local import LocalWorld
from cluster.shard.config import ShardConfig
from operations.world_dump import WorldDump
from operations.world_settle import Beginning, settle
from streaming.cancellable import end
from streaming.connect import connect
from tests.cluster.worlds import Player, player, until
from world.rules import Rules

RULES = Rules(demo=False)
QUICK = ShardConfig(tick_hz=25.0)
KEEP = timedelta(days=3)
DOORS = ((25, 49), (49, 25), (25, 0), (0, 25))


@asynccontextmanager
async def empty_redis(url: str) -> AsyncIterator[Redis]:
    """A client of an emptied server; tasks that use it end when they are cancelled."""
    client = connect(url)
    await client.flushall()
    yield client
    await client.aclose()


async def wander(agent: Player, seed: int) -> None:
    """Walk, through doors mostly, and talk, until cancelled."""
    rng = random.Random(seed)
    while True:
        x, y = rng.choice(DOORS) if rng.random() < 0.7 else (rng.randint(18, 32), rng.randint(18, 32))
        decision = await agent.submit({"type": "move_to", "x": x, "y": y})
        if decision.accepted:
            await agent.result()
        if rng.random() < 0.3:
            await agent.submit({"type": "say", "text": f"hällo {rng.random()} 😀"})


@asynccontextmanager
async def playing(world: LocalWorld, count: int) -> AsyncIterator[list[Player]]:
    """``count`` agents that wander while the block runs."""
    agents = [await player(world, f"agent-{number}") for number in range(count)]
    tasks = [asyncio.create_task(wander(agent, seed)) for seed, agent in enumerate(agents)]
    try:
        yield agents
        for task in tasks:
            if task.done():
                task.result()
    finally:
        await end(*tasks)


async def heard(agent: Player) -> bool:
    """Have the agent say something, behind the command it may still be running; whether it was done."""

    async def accepted() -> bool:
        return (await agent.submit({"type": "say", "text": "here I am again"})).accepted

    await until(accepted, f"{agent.agent_id} may talk")
    return bool((await agent.result())["status"] == "completed")


def essence(dump: WorldDump) -> dict[str, Any]:
    """What of a world must survive: everything but ticks, event numbers, leases and the run.

    Worlds are compared as they would go on, so one with arrivals under way equals one in which they are seated.
    """
    begin = Beginning(run_id="run", tick=10**9, epoch=1, seq_gap=0, next_chunk=1, ts_ms=0)
    settled = settle(dump, begin, RULES)
    agents: dict[str, Any] = {}
    for id_, fields in settled.agents.items():
        agents[id_] = {name: value for name, value in fields.items() if name not in ("seq", "at", "rec")}
        agents[id_]["rec"] = orjson.loads(fields["rec"]) if "rec" in fields else None
    return {
        "seed": settled.world["seed"],
        "epoch_ms": settled.world["epoch_ms"],
        "shard_count": settled.world["shard_count"],
        # Flat, so that a failing comparison names the field.
        **{f"{id_} {name}": value for id_, chunk in settled.chunks.items() for name, value in asdict(chunk).items()},
        **{f"agent {id_}": fields for id_, fields in agents.items()},
    }
