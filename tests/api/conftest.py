"""Fixtures for the gateway's tests: batched Redis, a clock to turn, a world that decides at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from api.app import create_app
from api.challenge.ingress import Ingress
from api.challenge.store import ChallengeRules
from api.services import Services
from config.settings import Settings
from streaming.batch import RedisBatch
from tests.api.support import FakeClock, FakeWorld


@pytest.fixture
async def batch(redis: Redis) -> AsyncIterator[RedisBatch]:
    batch = RedisBatch(redis)
    yield batch
    await batch.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def world(redis: Redis) -> FakeWorld:
    return FakeWorld(redis=redis)


@pytest.fixture
async def ingress(batch: RedisBatch, world: FakeWorld, clock: FakeClock) -> AsyncIterator[Ingress]:
    ingress = Ingress(batch, world, ChallengeRules(), clock)
    yield ingress
    await ingress.drain(1.0)


@pytest.fixture
def settings(fresh_postgres_url: str, valkey_url: str) -> Settings:
    return Settings(environment="test", database_url=fresh_postgres_url, redis_url=valkey_url)


@pytest.fixture
async def services(settings: Settings, world: FakeWorld) -> AsyncIterator[Services]:
    """A gateway's services on real servers, over a world that accepts everything."""
    services = Services.build(settings, world)
    services.start()
    yield services
    await services.close()


@pytest.fixture
async def http(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole app, in process."""
    transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
