"""A running hub for the tests of its readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from streaming.hub import Hub


@pytest.fixture
async def hub(redis: Redis) -> AsyncIterator[Hub]:
    hub = Hub(redis)
    hub.start()
    await asyncio.wait_for(hub.connected.wait(), 10)
    yield hub
    await hub.close()
