"""A task that talks to Redis ends when it is cancelled, at whatever moment that is."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from streaming.cancellable import make_cancellable


async def test_no_cancellation_is_swallowed(valkey_url: str) -> None:
    redis: Redis = Redis.from_url(valkey_url, socket_timeout=5.0)
    make_cancellable(redis.connection_pool)
    make_cancellable(redis.connection_pool)  # twice is once

    async def talk() -> None:
        while True:
            await redis.set("a", "b")
            await asyncio.sleep(0)

    for moment in range(300):
        talking = asyncio.create_task(talk())
        await asyncio.sleep(0.001 * (moment % 7) / 3)
        talking.cancel()
        done, _ = await asyncio.wait([talking], timeout=5)
        assert talking in done, f"lost at moment {moment}"
        assert talking.cancelled()
    assert await redis.get("a") == b"b"
    await redis.aclose()


async def test_an_unreachable_server_is_still_a_redis_error() -> None:
    redis: Redis = Redis.from_url("redis://127.0.0.1:1", socket_timeout=1.0)
    make_cancellable(redis.connection_pool)
    with pytest.raises(RedisError):
        await redis.ping()
    await redis.aclose()
