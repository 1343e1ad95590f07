from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from api import keys
from cluster.hosted.sessions import ModelSession, ModelSessions, new_session_id
from streaming.batch import RedisBatch


@pytest.fixture
async def sessions(redis: Redis) -> AsyncIterator[ModelSessions]:
    batch = RedisBatch(redis)
    yield ModelSessions(batch, ttl_s=60, account_max=2, most=3)
    await batch.close()


async def test_a_session_is_found_by_its_account_alone(sessions: ModelSessions, redis: Redis) -> None:
    assert await sessions.open("s-1", "acc_1", "key_1")
    assert await sessions.open("s-1", "acc_1", "key_1"), "it is there already"
    assert await sessions.choose("s-1", "scout-1")
    assert not await sessions.choose("s-2", "scout-1")
    assert await sessions.use("s-1", "acc_1") == ModelSession("s-1", "scout-1", "")
    assert await sessions.use("s-1", "acc_2") is None
    assert await sessions.end("s-1", "acc_2") is None
    assert await sessions.end("s-1", "acc_1") == ""
    assert await sessions.use("s-1", "acc_1") is None
    assert await redis.keys("mcp:*") == []


async def test_every_key_ends_by_itself(sessions: ModelSessions, redis: Redis) -> None:
    await sessions.open("s-1", "acc_1", "key_1")
    await sessions.use("s-1", "acc_1")
    await sessions.claim("s-1", "gw_1")
    for key in await redis.keys("mcp*"):
        assert 0 < await redis.pttl(key) <= 60_000, key


async def test_an_account_loses_the_one_unused_for_longest_and_all_have_a_bound(
    sessions: ModelSessions, redis: Redis
) -> None:
    for name in ("s-1", "s-2"):
        await sessions.open(name, "acc_1", "key_1")
        await asyncio.sleep(0.002)
    await sessions.use("s-1", "acc_1")
    await sessions.open("s-3", "acc_1", "key_1")
    assert [await sessions.use(name, "acc_1") is None for name in ("s-1", "s-2", "s-3")] == [False, True, False]
    assert await sessions.open("t-1", "acc_2", "key_2")
    assert not await sessions.open("u-1", "acc_3", "key_3")
    await redis.zadd(keys.MCP_SESSIONS, {"t-1": 1})
    assert await sessions.open("u-1", "acc_3", "key_3"), "what has expired counts no more"


async def test_of_two_gateways_one_plays_until_its_lease_is_over_or_it_is_known_as_lost(
    sessions: ModelSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await sessions.claim("s-1", "gw_1") == "", "there is no such session"
    await sessions.open("s-1", "acc_1", "key_1")
    assert await sessions.claim("s-1", "gw_1") == "gw_1"
    assert await sessions.claim("s-1", "gw_2") == "gw_1"
    assert await sessions.claim("s-1", "gw_2", lost="gw_1") == "gw_2"
    assert await sessions.keep("gw_1", ["s-1", "s-9"]) == ["s-1", "s-9"]
    assert await sessions.keep("gw_2", ["s-1"]) == []
    await sessions.leave("s-1", "gw_1")
    assert (await sessions.use("s-1", "acc_1") or ModelSession("", "", "")).host == "gw_2"
    await sessions.leave("s-1", "gw_2")
    assert (await sessions.use("s-1", "acc_1") or ModelSession("", "", "")).host == ""
    monkeypatch.setattr("cluster.hosted.sessions.SESSION_LEASE_MS", 1)
    await sessions.claim("s-1", "gw_1")
    await asyncio.sleep(0.01)
    assert await sessions.claim("s-1", "gw_2") == "gw_2"


async def test_a_gateway_that_lost_an_agent_forgets_it_alone_while_it_plays_it(sessions: ModelSessions) -> None:
    await sessions.open("s-1", "acc_1", "key_1")
    await sessions.choose("s-1", "scout-1")
    await sessions.claim("s-1", "gw_1")
    assert not await sessions.lose("s-1", "gw_1", "scout-2"), "another agent was chosen meanwhile"
    assert not await sessions.lose("s-1", "gw_2", "scout-1"), "another gateway plays it"
    assert not await sessions.lose("s-2", "gw_1", "scout-1"), "there is no such session"
    assert (await sessions.use("s-1", "acc_1")) == ModelSession("s-1", "scout-1", "gw_1")
    assert await sessions.lose("s-1", "gw_1", "scout-1")
    assert (await sessions.use("s-1", "acc_1")) == ModelSession("s-1", "", "gw_1")


def test_ids_are_not_guessed() -> None:
    assert len({new_session_id() for _ in range(100)}) == 100
    assert len(new_session_id()) == 36
