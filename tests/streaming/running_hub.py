"""A hub that is connected, for as long as a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from streaming.hub import Hub


@asynccontextmanager
async def running_hub(redis: Redis) -> AsyncIterator[Hub]:
    """Start one, and close it behind the block."""
    hub = Hub(redis)
    hub.start()
    await asyncio.wait_for(hub.connected.wait(), 10)
    yield hub
    await hub.close()
