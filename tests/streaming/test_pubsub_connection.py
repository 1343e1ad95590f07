"""The hub's connection: what is said on it is heard at once, and its end is told once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from streaming.hub import Hub
from streaming.pubsub_connection import PubSubConnection
from tests.streaming.writer import ChunkWriter, cut_pubsub

Said = list[Any]


@pytest.fixture
async def made(redis: Redis) -> AsyncIterator[AbstractConnection]:
    pool = redis.connection_pool
    connection: AbstractConnection = pool.connection_class(**pool.connection_kwargs, protocol=2)
    await connection.connect()  # type: ignore[no-untyped-call]
    yield connection
    await connection.disconnect(nowait=True)


async def heard(said: Said, count: int) -> Said:
    async with asyncio.timeout(10):
        while len(said) < count:
            await asyncio.sleep(0.005)
    return said


async def test_what_is_published_is_heard_in_order(made: AbstractConnection, redis: Redis) -> None:
    said: Said = []
    connection = PubSubConnection(made, said.append)
    connection.say("SUBSCRIBE", b"one", b"two")
    await heard(said, 2)
    for n in range(50):
        await redis.publish("two" if n % 2 else "one", str(n))
    messages = (await heard(said, 52))[2:]
    assert [message[2] for message in messages] == [b"%d" % n for n in range(50)]
    assert messages[1][1].endswith(b"two")
    connection.say("PING")
    assert (await heard(said, 53))[-1] == [b"pong", b""]


async def test_an_error_answer_ends_it(made: AbstractConnection) -> None:
    connection = PubSubConnection(made, lambda _: None)
    connection.say("HGETALL")
    with pytest.raises(ResponseError):
        await asyncio.wait_for(connection.until_lost(), 10)


async def test_its_end_is_told_and_nothing_is_heard_after_it(made: AbstractConnection, redis: Redis) -> None:
    said: Said = []
    connection = PubSubConnection(made, said.append)
    connection.say("SUBSCRIBE", b"one")
    await heard(said, 1)
    await cut_pubsub(redis)
    with pytest.raises(RedisConnectionError):
        await asyncio.wait_for(connection.until_lost(), 10)
    connection.close()
    assert len(said) == 1


async def test_a_reader_that_raises_costs_the_connection_and_no_entry(redis: Redis, hub: Hub) -> None:
    """Who got the entry and who did not is put right by reading the stream anew."""
    chunk, ids, failed = ChunkWriter(redis), Said(), Said()

    def fail_once(item: Any) -> None:
        if not failed:
            failed.append(item)
            raise RuntimeError("not foreseen")

    await hub.subscribe(chunk.key, fail_once).ready()
    await hub.subscribe(chunk.key, lambda item: ids.append(getattr(item, "id", None))).ready()
    await chunk.tick()
    await chunk.tick()
    async with asyncio.timeout(10):
        while chunk.last not in ids:
            await asyncio.sleep(0.005)
    assert hub.reconnects == 1
