"""The archiver as an actor of a real Ray: it writes, dies and goes on, and ends with nothing left over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster import deploy
from cluster.actor_options import archiver_name
from cluster.deploy import Deployment
from cluster.ray_clients import NamedActors, RayShardClient
from cluster.router import Router
from config.settings import Settings
from embedded.children import free_port
from recordings.places import Directory
from recordings.verify import verify
from store import event_log
from store.engine import make_engine
from streaming import keys
from streaming.batch import RedisBatch
from tests.cluster.lasting import empty_redis, heard
from tests.cluster.worlds import Player, until

pytestmark = pytest.mark.ray


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with empty_redis(valkey_url) as client:
        yield client


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def settings(valkey_url: str, postgres_url: str, tmp_path: Path) -> Settings:
    return Settings(
        environment="test",
        database_url=postgres_url,
        redis_url=valkey_url,
        port=free_port(),
        shards=1,
        demo=False,
        drain_s=1,
        snapshot_interval_s=1,
        log_level="warning",
        data_dir=str(tmp_path),
    )


async def archiver_of(deployment: Deployment) -> dict[str, object]:
    found: dict[str, object] = (await deployment.describe())["actors"].get(archiver_name(0), {})
    return found


async def test_it_writes_dies_and_goes_on(
    redis: Redis, engine: AsyncEngine, settings: Settings, tmp_path: Path
) -> None:
    deployment = await deploy.start(settings)
    try:
        batch = RedisBatch(redis)
        router = Router(redis, batch, RayShardClient(NamedActors(settings.ray_namespace)), spawn_capacity=64)
        walker = Player(redis, router, "w")
        await walker.join()
        assert await heard(walker)

        async def kinds() -> list[str]:
            return [event.kind for event in await event_log.read(engine, agent_id="w")]

        async def first_facts() -> bool:
            return sorted(await kinds()) == ["chat", "join", "result"]

        await until(first_facts, "the first facts in the log")

        async def looked() -> bool:
            async with engine.connect() as connection:
                return bool(await connection.scalar(text("SELECT count(*) FROM snapshots")))

        await until(looked, "a snapshot")
        described = await archiver_of(deployment)
        assert described["archived"] == 3
        os.kill(int(str(described["pid"])), signal.SIGKILL)
        for _ in range(3):
            assert await heard(walker)

        async def all_facts() -> bool:
            return (await kinds()).count("chat") == 4

        await until(all_facts, "the facts of the time without archiver", 60)
        assert sorted(await kinds()) == sorted(["join", *["chat", "result"] * 4])
        assert await heard(walker)
        await router.close()
        await batch.close()
    finally:
        await deployment.stop()
    # Stopping took the shards first, then the archiver, which wrote what was left.
    assert await redis.xlen(keys.ARCHIVE_STREAM) == 0
    assert sorted(await kinds()) == sorted(["join", *["chat", "result"] * 5])
    # So did the recorder in it, which died with it: everything is there, once.
    assert await redis.xlen(keys.RECORDING_STREAM) == 0
    proof = await asyncio.to_thread(verify, Directory(tmp_path / "recordings"))
    assert [finding.line for finding in proof.findings] == []
    recorded = await redis.hget(keys.shard(0), "recorded")
    assert proof.ends[0].text.encode() == recorded


@pytest.mark.slow
async def test_the_world_starts_and_plays_without_a_database(redis: Redis, settings: Settings) -> None:
    """The archiver lags; nothing waits for it."""
    away = settings.model_copy(update={"database_url": "postgresql+asyncpg://nobody:x@127.0.0.1:9/none"})
    deployment = await deploy.start(away)
    try:
        batch = RedisBatch(redis)
        router = Router(redis, batch, RayShardClient(NamedActors(settings.ray_namespace)), spawn_capacity=64)
        walker = Player(redis, router, "w")
        await walker.join()
        assert await heard(walker)

        async def waits() -> bool:
            found = await archiver_of(deployment)
            return found.get("archive_waiting") == 3 and found.get("archive_trouble") is not None

        await until(waits, "the archiver says that it waits")
        assert await heard(walker)
        await router.close()
        await batch.close()
    finally:
        await deployment.stop()
    assert await redis.xlen(keys.ARCHIVE_STREAM) == 5
