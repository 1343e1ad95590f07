"""Connections to Redis: bounds in number and time, no command repeated, and the names of the world."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from streaming import connect as connect_module
from streaming.connect import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S, as_text, connect


def test_what_redis_gives_as_text() -> None:
    assert (as_text(b"chunk-0"), as_text("chunk-0")) == ("chunk-0", "chunk-0")


async def test_a_client_has_its_times_and_repeats_nothing() -> None:
    client = connect("redis://127.0.0.1:1/3")
    options = client.connection_pool.connection_kwargs
    assert (options["db"], options["socket_timeout"]) == (3, SOCKET_TIMEOUT_S)
    assert options["socket_connect_timeout"] == CONNECT_TIMEOUT_S
    assert options["retry"].get_retries() == 0
    with pytest.raises(RedisConnectionError):
        await client.ping()
    await client.aclose()


@pytest.mark.parametrize("url", ["http://127.0.0.1/0", "redis://127.0.0.1/0?world=Not%20A%20Name"])
def test_what_is_no_redis_or_no_world_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        connect(url)


async def test_more_callers_than_connections_wait_and_then_are_told(
    redis: Any, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect_module, "POOL_WAIT_S", 0.05)
    client: Any = connect(valkey_url, pool_size=1)
    blocked: asyncio.Task[Any] = asyncio.create_task(client.blpop(["never"], timeout=5))
    async with asyncio.timeout(5):
        while not (await redis.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.01)
    with pytest.raises(RedisConnectionError, match="No connection available"):
        await client.ping()
    await redis.rpush("never", "x")
    assert await blocked == (b"never", b"x")
    assert await client.ping()
    await client.aclose()


async def test_a_world_with_a_name_has_its_own_keys(redis: Any, valkey_url: str) -> None:
    blue = connect(f"{valkey_url}?world=blue")
    await blue.set("chunks", "x")
    assert await redis.keys("*") == [b"world:blue:chunks"]
    await blue.aclose()
