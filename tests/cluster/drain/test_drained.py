"""The wish that nodes be empty: noted once, never for the last node, whoever asks at the same time."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from cluster.drain.drained import drain, read_drained, undrain
from streaming import keys


async def test_of_all_nodes_that_are_drained_at_once_one_stays(redis: Redis) -> None:
    nodes = {"a", "b", "c"}
    answers = await asyncio.gather(*(drain(redis, node, nodes - {node}, "operator") for node in sorted(nodes)))
    assert sorted(answers) == [False, True, True]
    assert len(await read_drained(redis)) == 2


async def test_who_wished_first_is_kept(redis: Redis) -> None:
    assert await drain(redis, "a", ["b"], "operator")
    assert await drain(redis, "a", ["b"], "scale")
    assert await read_drained(redis) == {"a": "operator"}


async def test_undrain_says_whether_there_was_a_wish(redis: Redis) -> None:
    await drain(redis, "a", ["b"], "scale")
    assert await read_drained(redis) == {"a": "scale"}
    assert await undrain(redis, ["a", "b"])
    assert not await undrain(redis, ["a"])
    assert not await undrain(redis, [])
    assert await read_drained(redis) == {}


async def test_a_note_that_nobody_can_read_is_an_operators(redis: Redis) -> None:
    for node, note in {"a": "{", "b": "[]", "c": '{"v": 9, "by": "somebody"}'}.items():
        await redis.hset(keys.DRAINED, node, note)
    assert set((await read_drained(redis)).values()) == {"operator"}
