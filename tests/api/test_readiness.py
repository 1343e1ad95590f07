from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from api import readiness
from api.readiness import Readiness
from store.engine import make_engine
from tests.api.support import FakeWorld


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(postgres_url)
    yield engine
    await engine.dispose()


@contextlib.asynccontextmanager
async def silent_port() -> AsyncIterator[int]:
    """A server that accepts and never says a word: a dependency that hangs."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.close()


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "CACHE_S", 0.0)


async def test_ready_when_all_answer(engine: AsyncEngine, redis: Redis) -> None:
    assert await Readiness(engine, redis, FakeWorld()).problems() == []


async def test_dependencies_that_are_gone_are_named(redis: Redis) -> None:
    gone = make_engine("postgresql+asyncpg://u:p@127.0.0.1:1/none")
    nowhere = Redis.from_url("redis://127.0.0.1:1")
    world = FakeWorld(trouble=["shard_0_unavailable"])
    found = await Readiness(gone, nowhere, world).problems()
    assert found == ["database_unavailable", "redis_unavailable", "shard_0_unavailable"]
    await gone.dispose()
    await nowhere.aclose()


async def test_dependencies_that_hang_are_given_up_on_within_the_limit(redis: Redis) -> None:
    async with silent_port() as port:
        hung = make_engine(f"postgresql+asyncpg://u:p@127.0.0.1:{port}/none")
        mute = Redis.from_url(f"redis://127.0.0.1:{port}")
        began = time.monotonic()
        found = await Readiness(hung, mute, FakeWorld(), timeout_s=0.3).problems()
        assert found == ["database_timeout", "redis_timeout"]
        # One limit for all of them, not one after the other; the drivers' own limits are 5 s and more.
        assert time.monotonic() - began < 3
        await hung.dispose()
        await mute.aclose()


async def test_good_again_by_itself(engine: AsyncEngine, redis: Redis) -> None:
    world = FakeWorld(trouble=["shard_0_unavailable"])
    asked = Readiness(engine, redis, world)
    assert await asked.problems() == ["shard_0_unavailable"]
    world.trouble = []
    assert await asked.problems() == []


async def test_many_askers_cost_one_question(
    engine: AsyncEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "CACHE_S", 60.0)
    asked = 0

    class Counting(FakeWorld):
        async def problems(self) -> list[str]:
            nonlocal asked
            asked += 1
            return []

    ready = Readiness(engine, redis, Counting())
    ready._asked_at = -1e9
    await asyncio.gather(*(ready.problems() for _ in range(100)))
    await ready.problems()
    assert asked == 1
