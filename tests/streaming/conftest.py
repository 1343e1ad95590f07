"""A running hub for the tests of its readers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from streaming.hub import Hub
from tests.streaming.running_hub import running_hub


@pytest.fixture
async def hub(redis: Redis) -> AsyncIterator[Hub]:
    async with running_hub(redis) as hub:
        yield hub
