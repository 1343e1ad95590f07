"""A cluster made up in Redis, as its coordinator would write it, for tests of the operators' API."""

from __future__ import annotations

from typing import Any

import orjson
from redis.asyncio import Redis

from streaming import keys

QUANTILES = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
NODE_ID = "3f2a9c1b" + "0" * 48


def status(shards: int = 2, **more: Any) -> dict[str, Any]:
    """A coordinator's status."""
    actors: dict[str, Any] = {
        f"shard-{number}": {
            "node": NODE_ID,
            "pid": 100 + number,
            "release": "1",
            "shard": number,
            "epoch": 1,
            "tick": 50,
            "chunks": 5,
            "agents": 7,
            "cpu": 0.2,
            "stalled": False,
            "ticks_skipped": 0,
            "reloads": 0,
            "tick_ms": QUANTILES,
            "commit_ms": QUANTILES,
            "lag_ms": QUANTILES,
        }
        for number in range(shards)
    }
    actors["gateway-0"] = {
        "node": NODE_ID,
        "pid": 200,
        "release": "1",
        "started": True,
        "draining": False,
        "connections": 3,
        "cpu": 0.1,
        "watchers": {"chunk-1": 2},
        "decided": 10,
        "refused": {"busy": 1},
    }
    node = {
        "node": NODE_ID[:8],
        "alive": True,
        "id": NODE_ID,
        "address": "10.0.0.1",
        "name": "node-1",
        "cpus": 4.0,
        "cpus_free": 3.0,
        "head": True,
        "drained": False,
        "actors": dict.fromkeys(actors, 0.1),
    }
    return {
        "release": "1",
        "actors": actors,
        "nodes": [node],
        "moving": {"to_move": 0, "moved": 0, "refused": 0, "longest_pause_ms": 0.0},
        "shards": shards,
        "bounds": [],
        "rules": {},
        "misplaced": 0,
        "balance": {"on": True, "imbalance": 1.0, "paused_s": 0.0},
        **more,
    }


async def make_up(redis: Redis, *, chunks: int = 4, agents: int = 0, shards: int = 2, **more: Any) -> None:
    """Write a world of so many chunks in a row and agents, with its coordinator's status."""
    client: Any = redis
    pipe = client.pipeline(transaction=False)
    pipe.set(keys.STATUS, orjson.dumps(status(shards, **more)))
    pipe.hset(keys.WORLD, mapping={"seed": "1", "shard_count": str(shards), "run": "run_1", "epoch_ms": "0"})
    for number in range(chunks):
        name = f"chunk-{number}"
        fields = {"shard": str(number % shards), "number": str(number), "entry": ""}
        if number:
            fields["W"] = f"chunk-{number - 1}"
        if number + 1 < chunks:
            fields["E"] = f"chunk-{number + 1}"
        pipe.hset(keys.chunk(name), mapping=fields)
        pipe.sadd(keys.CHUNKS, name)
    population = dict.fromkeys((f"chunk-{number}" for number in range(chunks)), 0)
    for number in range(agents):
        name, chunk = f"a-{number}", f"chunk-{number % chunks}"
        population[chunk] += 1
        record = orjson.dumps({"x": 3, "y": 4, "gold": 5})
        whole: dict[str, str | bytes] = {
            "account": "acc_1",
            "chunk": chunk,
            "here": "1",
            "rec": record,
            "busy": "",
            "at": "50",
            "seq": "1",
        }
        pipe.hset(keys.agent(name), mapping=whole)
        pipe.sadd(keys.members(chunk), name)
        pipe.zadd(keys.PRESENCE, {name: 4_000_000_000_000})
    if population:
        pipe.hset(keys.POPULATION, mapping=population)
    pipe.set(keys.LOADS, orjson.dumps([["chunk-1", 900, 2.5]]))
    await pipe.execute()
