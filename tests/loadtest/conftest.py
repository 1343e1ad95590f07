"""A whole world in this process, behind a gateway that listens, for generators to be let loose on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from cluster.local import LocalWorld
from cluster.shard.config import ShardConfig
from config.settings import Settings
from streaming.connect import connect
from tests.api.gates import Gate, running


@pytest.fixture
async def local_world(redis: Redis, valkey_url: str) -> AsyncIterator[LocalWorld]:
    """Two shards, whose time goes four times as fast; ``redis`` empties the server before."""
    client = connect(valkey_url)
    async with LocalWorld(client, shards=2, config=ShardConfig(tick_hz=20.0)) as world:
        yield world
    await client.aclose()


@pytest.fixture
async def gate(fresh_postgres_url: str, valkey_url: str, local_world: LocalWorld) -> AsyncIterator[Gate]:
    """A gateway over it."""
    settings = Settings(environment="test", database_url=fresh_postgres_url, redis_url=valkey_url)
    async with running(settings, local_world.router) as gate:
        yield gate
