"""A stage for tests that decide themselves what comes between two steps of a shard."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.cluster.shard.stage import Stage


@pytest.fixture
async def stage(redis: Redis) -> AsyncIterator[Stage]:
    built = await Stage(redis).build()
    yield built
    for runtime in built.wires.runtimes.values():
        for task in list(runtime.background.tasks):
            task.cancel()
