from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import agents
from store.agents import AgentLimitReached
from store.models import Account
from tests.store.rows import new_account, unique


async def count_of(engine: AsyncEngine, account_id: str) -> int | None:
    async with engine.connect() as connection:
        return await connection.scalar(select(Account.agent_count).where(Account.account_id == account_id))


async def test_the_first_account_to_ask_has_the_agent(engine: AsyncEngine) -> None:
    first, second, agent_id = await new_account(engine), await new_account(engine), unique("a")
    assert await agents.claim(engine, agent_id, first, limit=9) == first
    assert await agents.claim(engine, agent_id, second, limit=9) == first
    assert await agents.claim(engine, agent_id, first, limit=9) == first
    assert (await count_of(engine, first), await count_of(engine, second)) == (1, 0)


async def test_of_ten_accounts_at_once_one_gets_it_and_all_agree(engine: AsyncEngine) -> None:
    accounts = [await new_account(engine) for _ in range(10)]
    agent_id = unique("a")
    owners = await asyncio.gather(*(agents.claim(engine, agent_id, account, limit=9) for account in accounts))
    assert len(set(owners)) == 1
    assert owners[0] in accounts
    assert sum([await count_of(engine, account) or 0 for account in accounts]) == 1


async def test_of_twenty_agents_at_once_exactly_the_limit_is_made(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    outcomes = await asyncio.gather(
        *(agents.claim(engine, unique("a"), account_id, limit=7) for _ in range(20)), return_exceptions=True
    )
    assert outcomes.count(account_id) == 7
    assert sum(isinstance(outcome, AgentLimitReached) for outcome in outcomes) == 13
    assert len(await agents.list_of(engine, account_id)) == await count_of(engine, account_id) == 7


async def test_at_the_limit_ones_own_agents_are_still_ones_own(engine: AsyncEngine) -> None:
    account_id, agent_id = await new_account(engine), unique("a")
    await agents.claim(engine, agent_id, account_id, limit=1)
    assert await agents.claim(engine, agent_id, account_id, limit=1) == account_id
    with pytest.raises(AgentLimitReached):
        await agents.claim(engine, unique("a"), account_id, limit=1)


async def test_the_list_goes_page_by_page_without_gap_or_repeat(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    made = sorted([f"page-{number:02}" for number in range(7)])
    for agent_id in reversed(made):
        await agents.claim(engine, agent_id, account_id, limit=99)
    seen: list[str] = []
    while page := await agents.list_of(engine, account_id, after=seen[-1] if seen else "", limit=3):
        seen += [agent.agent_id for agent in page]
    assert seen == made
