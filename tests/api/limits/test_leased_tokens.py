"""Tokens that gateways take in advance: together never more than the bucket has, and given back when not used."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.exceptions import RedisError

from api.limits.leased_tokens import LeasedTokens
from api.limits.rate_limit import Bucket
from config.limit import Limit
from streaming.batch import RedisBatch

BURST = 300


@pytest.fixture
def bucket() -> Bucket:
    return Bucket("command_account", "acc_1", Limit.parse(f"{BURST}+1/h"))


async def taken(tokens: LeasedTokens, times: int) -> int:
    """How many of so many tries got one."""
    waits = [0 if tokens.take_held() else await tokens.take() for _ in range(times)]
    return waits.count(0)


async def test_gateways_together_never_hand_out_more_than_there_is(batch: RedisBatch, bucket: Bucket) -> None:
    gateways = [LeasedTokens(batch, bucket) for _ in range(3)]
    got = await asyncio.gather(*(taken(gateway, BURST) for gateway in gateways))
    assert sum(got) == BURST
    assert all(got)


async def test_a_lease_is_a_small_part(batch: RedisBatch, bucket: Bucket) -> None:
    one, other = LeasedTokens(batch, bucket), LeasedTokens(batch, bucket)
    assert await taken(one, 1) == 1
    assert one.held == BURST // 100 - 1
    assert await taken(other, BURST) == BURST - BURST // 100


async def test_without_a_token_it_says_for_how_long_and_does_not_ask_again(
    batch: RedisBatch, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = LeasedTokens(batch, bucket)
    await taken(tokens, BURST)
    first = await tokens.take()

    async def nobody_asks(call: Any) -> Any:
        raise AssertionError(call)

    monkeypatch.setattr(batch, "run", nobody_asks)
    assert 0 < await tokens.take() <= first


async def test_what_is_given_back_is_there_for_another(batch: RedisBatch, bucket: Bucket) -> None:
    leaving, staying = LeasedTokens(batch, bucket), LeasedTokens(batch, bucket)
    await taken(leaving, 1)
    await leaving.give_back()
    await leaving.give_back()
    assert leaving.held == 0
    assert await taken(staying, BURST) == BURST - 1


async def test_without_redis_nothing_is_handed_out(
    batch: RedisBatch, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(call: Any) -> Any:
        raise RedisError("away")

    tokens = LeasedTokens(batch, bucket)
    monkeypatch.setattr(batch, "run", away)
    with pytest.raises(RedisError):
        await tokens.take()
    assert not tokens.take_held()
