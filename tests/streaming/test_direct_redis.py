"""A connection of one's own: the same answers and errors as over redis-py, in order, and no more than one of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from streaming.connect import connect
from streaming.direct_redis import DirectRedis
from streaming.lua import Script, run


@pytest.fixture
async def direct(redis: Redis) -> AsyncIterator[DirectRedis]:
    client = DirectRedis(redis)
    yield client
    await client.aclose()


async def names(redis: Redis) -> list[str]:
    """The server's connections."""
    clients: Any = await redis.client_list()
    return [client["id"] for client in clients]


async def test_answers_are_those_of_redis_py(direct: DirectRedis, redis: Any) -> None:
    assert await direct.execute_command("SET", "key", b"\x00\xff") == b"OK"
    assert await direct.execute_command("GET", "key") == b"\x00\xff"
    assert await direct.execute_command("GET", "nothing") is None
    assert await direct.execute_command("HSET", "hash", "a", 1, "b", 2.5) == 2
    assert await direct.execute_command("HMGET", "hash", "a", "b", "c") == [b"1", b"2.5", None]
    assert await redis.get("key") == b"\x00\xff"


async def test_an_error_answer_is_raised_and_the_next_is_an_answer(direct: DirectRedis) -> None:
    await direct.execute_command("SET", "key", "text")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await direct.execute_command("HGET", "key", "field")
    with pytest.raises(NoScriptError):
        await direct.execute_command("EVALSHA", "0" * 40, 0)
    assert await direct.execute_command("GET", "key") == b"text"


async def test_a_script_that_the_server_does_not_know_is_sent_with_its_source(direct: DirectRedis) -> None:
    script = Script("echo", "return {KEYS[1], ARGV[1]}", ("key",), ("word",))
    await direct.execute_command("SCRIPT", "FLUSH")
    for _ in range(2):
        assert await run(direct, script(key="k", word="w")) == [b"k", b"w"]


async def test_many_at_a_time_get_their_own_answers_over_one_connection(direct: DirectRedis, redis: Redis) -> None:
    before = len(await names(redis))
    answers = await asyncio.gather(*(direct.execute_command("ECHO", f"n-{n}") for n in range(200)))
    assert answers == [b"n-%d" % n for n in range(200)]
    assert len(await names(redis)) == before + 1


async def test_an_answer_longer_than_what_comes_at_once(direct: DirectRedis) -> None:
    text = b"x" * 3_000_000
    await direct.execute_command("SET", "key", text)
    assert await direct.execute_command("GET", "key") == text


async def test_the_answer_of_one_who_was_cancelled_is_nobody_elses(direct: DirectRedis) -> None:
    await direct.execute_command("PING")
    waiting = asyncio.create_task(direct.execute_command("BLPOP", "list", 0.2))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await direct.execute_command("ECHO", "mine") == b"mine"


async def test_a_connection_that_was_cut_is_made_anew(direct: DirectRedis, redis: Any) -> None:
    me = await direct.execute_command("CLIENT", "ID")
    waiting = asyncio.create_task(direct.execute_command("BLPOP", "list", 0))
    await asyncio.sleep(0.05)
    await redis.client_kill_filter(_id=me)
    with pytest.raises(RedisConnectionError):
        await waiting
    assert await direct.execute_command("CLIENT", "ID") != me


async def test_whoever_can_not_connect_is_told_so(redis: Redis) -> None:
    client = DirectRedis(connect("redis://127.0.0.1:1/0"))
    for _ in range(2):
        with pytest.raises(RedisConnectionError):
            await client.execute_command("PING")


async def test_no_answer_in_time_ends_the_connection(valkey_url: str) -> None:
    async with slow_client(valkey_url) as client:
        me = await client.execute_command("CLIENT", "ID")
        waiting = [asyncio.create_task(client.execute_command("BLPOP", "list", 0)) for _ in range(3)]
        for failed in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(failed, RedisTimeoutError)
        assert await client.execute_command("CLIENT", "ID") != me


@asynccontextmanager
async def slow_client(url: str) -> AsyncIterator[DirectRedis]:
    redis = connect(url, socket_timeout_s=0.3)
    client = DirectRedis(redis)
    yield client
    await client.aclose()
    await redis.aclose()


async def test_what_is_no_answer_ends_the_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.strip() == b"CLIENT":
                writer.write(b"+OK\r\n")
            elif line.strip() == b"PING":
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        over.set()

    over = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = DirectRedis(connect(f"redis://127.0.0.1:{port}/0"))
    with pytest.raises(RedisConnectionError, match="Not an answer"):
        await client.execute_command("PING")
    await client.aclose()
    await over.wait()
    server.close()


async def test_it_is_of_its_world(redis: Any, valkey_url: str) -> None:
    blue = connect(f"{valkey_url}?world=blue")
    client = DirectRedis(blue)
    await client.execute_command("SET", "key", "blue")
    assert (await redis.get("key"), await redis.get("world:blue:key")) == (None, b"blue")
    await client.aclose()
    await blue.aclose()


async def test_ended_it_leaves_no_connection(redis: Redis) -> None:
    before = await names(redis)
    client = DirectRedis(redis)
    waiting = asyncio.create_task(client.execute_command("BLPOP", "list", 0))
    await asyncio.sleep(0.05)
    await client.aclose()
    with pytest.raises(RedisConnectionError):
        await waiting
    async with asyncio.timeout(5.0):
        while await names(redis) != before:
            await asyncio.sleep(0.02)
