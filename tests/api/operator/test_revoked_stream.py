"""An operator whose token is revoked loses the stream that is open, on every gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from api.accounts.tokens import new_id, new_operator_token
from cluster.operating import ClusterOperating
from config.settings import Settings
from store import operators
from tests.api.gates import Gate, SseReader, running
from tests.api.operator.status import make_up
from tests.api.support import FakeWorld

STREAM = "/v1/operator/stream"


@pytest.fixture
async def two(settings: Settings, redis: Redis) -> AsyncIterator[list[Gate]]:
    await make_up(redis)
    settings = settings.model_copy(update={"revoke_within_s": 2.0})
    world, operating = FakeWorld(redis=redis), ClusterOperating(redis, settings)
    async with (
        running(settings, world, operating) as here,
        running(settings, world, operating) as there,
    ):
        yield [here, there]


async def token_of(gate: Gate, name: str) -> str:
    token = new_operator_token()
    await operators.create(
        gate.services.engine,
        operator_id=new_id("opr"),
        name=name,
        role="viewer",
        prefix=token.prefix,
        token_hash=token.digest,
        expires_at=None,
    )
    return token.plain


async def to_the_end(stream: SseReader) -> None:
    while await stream.next() is not None:
        pass


async def test_the_streams_of_a_revoked_operator_are_closed_and_no_others(two: list[Gate]) -> None:
    here, there = two
    bob, vera = await token_of(here, "bob"), await token_of(here, "vera")
    async with here.sse(STREAM, bob) as first, there.sse(STREAM, bob) as second, there.sse(STREAM, vera) as other:
        for stream in (first, second, other):
            await stream.until("shards")
        await operators.revoke(here.services.engine, "bob")
        await to_the_end(first)
        await to_the_end(second)
        assert await other.next() is not None
