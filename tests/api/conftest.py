"""Fixtures for the gateway's tests: batched Redis, a clock to turn, a world that decides at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from api.challenge_store import ChallengeRules
from api.ingress import Ingress
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
