from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from api.accounts.auth import DEV_ACCOUNT_ID
from api.accounts.ownership import claim_agent, is_reserved
from api.errors import ApiError
from store.agent_claims import AgentClaims
from store.engine import make_engine
from streaming import keys
from streaming.batch import RedisBatch
from tests.store.rows import new_account, unique


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(postgres_url)
    yield engine
    await engine.dispose()


async def test_a_claim_is_remembered_in_redis(engine: AsyncEngine, batch: RedisBatch, redis: Redis) -> None:
    account_id, agent_id = await new_account(engine), unique("a")
    await claim_agent(AgentClaims(engine, 9), batch, agent_id, account_id)
    assert await redis.hget(keys.agent(agent_id), "account") == account_id.encode()
    await claim_agent(None, batch, agent_id, account_id)  # type: ignore[arg-type] # no database is asked


async def test_the_losers_gateway_remembers_the_winner_too(
    engine: AsyncEngine, batch: RedisBatch, redis: Redis
) -> None:
    owner, other, agent_id = await new_account(engine), await new_account(engine), unique("a")
    await claim_agent(AgentClaims(engine, 9), batch, agent_id, owner)
    await redis.flushall()
    with pytest.raises(ApiError, match="agent_not_owned"):
        await claim_agent(AgentClaims(engine, 9), batch, agent_id, other)
    assert await redis.hget(keys.agent(agent_id), "account") == owner.encode()


async def test_a_claim_leaves_what_the_world_keeps_there(engine: AsyncEngine, batch: RedisBatch, redis: Redis) -> None:
    agent_id = unique("a")
    await redis.hset(keys.agent(agent_id), mapping={"seq": 7, "chunk": "chunk-3"})
    await claim_agent(AgentClaims(engine, 9), batch, agent_id, await new_account(engine))
    stored = await redis.hgetall(keys.agent(agent_id))
    assert (stored[b"seq"], stored[b"chunk"]) == (b"7", b"chunk-3")


async def test_the_limit_is_told(engine: AsyncEngine, batch: RedisBatch, redis: Redis) -> None:
    account_id, claims = await new_account(engine), AgentClaims(engine, 1)
    await claim_agent(claims, batch, unique("a"), account_id)
    with pytest.raises(ApiError, match="agent_limit_reached"):
        await claim_agent(claims, batch, unique("a"), account_id)


@pytest.mark.parametrize("agent_id", ["demo-player", "demo-user-1", "demo-npc-2"])
async def test_demo_actors_are_the_dev_accounts(batch: RedisBatch, redis: Redis, agent_id: str) -> None:
    assert is_reserved(agent_id)
    await claim_agent(None, batch, agent_id, DEV_ACCOUNT_ID)  # type: ignore[arg-type] # no database is asked
    with pytest.raises(ApiError, match="agent_not_owned"):
        await claim_agent(None, batch, agent_id, "acc_1")  # type: ignore[arg-type]


@pytest.mark.parametrize("agent_id", ["demo", "demo-player-2", "demo-walker-1", "my-demo-user-1"])
def test_names_like_theirs_are_free(agent_id: str) -> None:
    assert not is_reserved(agent_id)
