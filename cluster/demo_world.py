"""The demo actors of ``chunk-0``: agents of the dev account that stand in the world without a connection."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson
from redis.asyncio import Redis

from cluster.messages import JoinRequest
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from streaming import keys
from streaming.connect import as_text
from world.genesis import demo_population
from world.ids import HALL, AgentId, ChunkId
from world.rules import Rules

JOIN_TIMEOUT_S: Final = 5.0
TRIES: Final = 10
PAUSE_S: Final = 0.3


async def seat_demo_actors(redis: Redis, shards: ShardClient, rules: Rules, *, account_id: str) -> None:
    """Put the demo's agents into ``chunk-0``; those who stand there already stay as they are.

    Raises:
        ShardUnavailable: the owner of ``chunk-0`` did not answer, several times.
    """
    for record in demo_population(rules):
        key = keys.agent(record.agent_id)
        await redis.hsetnx(key, "account", account_id)
        await redis.hsetnx(key, "chunk", HALL)
        await redis.hsetnx(key, "rec", orjson.dumps(record.to_json()))
        await _join(redis, shards, record.agent_id)


async def _join(redis: Redis, shards: ShardClient, agent_id: str) -> None:
    for tried in range(1, TRIES + 1):
        place = as_text(await redis.hget(keys.agent(agent_id), "chunk") or HALL)
        owner = await redis.hget(keys.chunk(place), "shard")
        if owner is None:  # its chunk has been collected since
            await redis.hset(keys.agent(agent_id), "chunk", HALL)
            continue
        try:
            await shards.shard(int(owner), timeout_s=JOIN_TIMEOUT_S).join(
                [JoinRequest(AgentId(agent_id), ChunkId(place))]
            )
            return
        except (ShardUnavailable, WorldReloaded):
            if tried == TRIES:
                raise
            await asyncio.sleep(PAUSE_S)
