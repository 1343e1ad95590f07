"""Redis work of many callers in shared pipelines: to each its answer, nothing sent twice, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from streaming import batch as batch_module
from streaming.batch import MAX_PIPELINE, RedisBatch, RedisOverloaded
from streaming.direct_redis import DirectRedis
from streaming.lua import Script, Word

ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])", keys=("counter",), args=("by",))


@pytest.fixture
async def batch(redis: Redis) -> AsyncIterator[RedisBatch]:
    batch = RedisBatch(redis)
    yield batch
    await batch.close()


def count_pipelines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the pipelines sent from now on."""
    sizes: list[int] = []
    execute_all = DirectRedis.execute_all

    async def counting(direct: DirectRedis, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
        sizes.append(len(commands))
        return await execute_all(direct, commands)

    monkeypatch.setattr(DirectRedis, "execute_all", counting)
    return sizes


async def test_each_caller_gets_its_own_answer_from_one_pipeline(
    batch: RedisBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = count_pipelines(monkeypatch)
    assert await asyncio.gather(*(batch.command("SET", f"k{n}", n) for n in range(20))) == [b"OK"] * 20
    assert await asyncio.gather(*(batch.command("GET", f"k{n}") for n in range(20))) == [b"%d" % n for n in range(20)]
    assert sizes == [20, 20]


async def test_a_pipeline_has_a_bound(batch: RedisBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = count_pipelines(monkeypatch)
    answers = await asyncio.gather(*(batch.command("INCR", "n") for _ in range(MAX_PIPELINE + 5)))
    assert answers == list(range(1, MAX_PIPELINE + 6))
    assert sizes == [MAX_PIPELINE, 5]


async def test_a_script_that_the_server_lacks_is_sent_to_it_once_and_runs_once_a_call(
    redis: Redis, batch: RedisBatch
) -> None:
    async def sent_with_source() -> int:
        stats = await redis.info("commandstats")
        return int(stats.get("cmdstat_eval", {}).get("calls", 0))

    await redis.config_resetstat()
    assert await asyncio.gather(*(batch.run(ADD(counter="n", by=2)) for _ in range(3))) == [2, 4, 6]
    assert await sent_with_source() == 1
    assert await batch.run(ADD(counter="n", by=2)) == 8
    assert await sent_with_source() == 1


async def test_one_command_that_fails_fails_alone(redis: Redis, batch: RedisBatch) -> None:
    await redis.set("text", "x")
    answers: tuple[Any, ...] = await asyncio.gather(
        batch.command("GET", "text"),
        batch.command("LLEN", "text"),
        batch.command("GET", "text"),
        return_exceptions=True,
    )
    assert (answers[0], answers[2]) == (b"x", b"x")
    assert isinstance(answers[1], ResponseError)


async def test_a_lost_connection_fails_every_waiting_call_and_the_next_one_is_sent(
    redis: Any, batch: RedisBatch
) -> None:
    me = await batch.command("CLIENT", "ID")
    waiting = [asyncio.create_task(batch.command(*words)) for words in (("PING",), ("BLPOP", "list", 0), ("PING",))]
    await asyncio.sleep(0.05)
    await redis.client_kill_filter(_id=me)
    calls = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(call) for call in calls] == [RedisConnectionError] * 3
    assert await batch.command("INCR", "n") == 1


async def test_more_than_may_wait_are_refused_at_once(batch: RedisBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MAX_PENDING", 3)
    calls = [asyncio.create_task(batch.command("INCR", "n")) for _ in range(5)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert done[:3] == [1, 2, 3]
    assert [type(call) for call in done[3:]] == [RedisOverloaded] * 2


async def test_a_caller_that_goes_away_takes_nobody_with_it(batch: RedisBatch) -> None:
    leaving, staying = (asyncio.create_task(batch.command("INCR", "n")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 2


async def test_closing_fails_what_waits_and_what_comes_later(redis: Redis) -> None:
    batch = RedisBatch(redis)
    waiting = asyncio.create_task(batch.command("BLPOP", "nothing", 0))
    await asyncio.sleep(0.05)
    await batch.close()
    with pytest.raises(RedisError, match="closed"):
        await waiting
    with pytest.raises(RedisOverloaded, match="closed"):
        await batch.command("PING")
