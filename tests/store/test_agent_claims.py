"""Claims that come together: each has the answer that it would have had alone, in fewer transactions."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from store import agent_claims, agents
from store.agent_claims import AgentClaims, ClaimsOverloaded
from store.agents import AgentLimitReached
from tests.store.rows import new_account, unique
from tests.store.test_agents import count_of


async def test_claims_at_once_share_transactions(engine: AsyncEngine) -> None:
    account_id, claims = await new_account(engine), AgentClaims(engine, 99)
    commits: list[object] = []
    event.listen(engine.sync_engine, "commit", commits.append)
    names = [unique("a") for _ in range(40)]
    owners = await asyncio.gather(*(claims.claim(name, account_id) for name in names))
    assert list(owners) == [account_id] * 40
    assert len(commits) <= 2
    assert await count_of(engine, account_id) == 40
    await claims.close()


async def test_gateways_that_claim_the_same_agents_agree_and_every_agent_counts_once(engine: AsyncEngine) -> None:
    accounts = [await new_account(engine) for _ in range(4)]
    names = [unique("a") for _ in range(30)]
    gateways = [AgentClaims(engine, 99) for _ in range(4)]
    found = await asyncio.gather(
        *(
            claims.claim(name, account_id)
            for claims, account_id in zip(gateways, accounts, strict=True)
            for name in (names if account_id != accounts[1] else names[::-1])
        )
    )
    by_gateway = [found[at : at + 30] for at in range(0, 120, 30)]
    by_gateway[1].reverse()
    assert by_gateway[0] == by_gateway[1] == by_gateway[2] == by_gateway[3]
    counts = [await count_of(engine, account_id) for account_id in accounts]
    assert counts == [by_gateway[0].count(account_id) for account_id in accounts]


async def test_two_accounts_that_claim_an_agent_at_one_gateway_are_told_the_same(engine: AsyncEngine) -> None:
    first, second, name = await new_account(engine), await new_account(engine), unique("a")
    claims = AgentClaims(engine, 9)
    answers = await asyncio.gather(claims.claim(name, first), claims.claim(name, second), claims.claim(name, first))
    assert list(answers) == [first] * 3
    assert (await count_of(engine, first), await count_of(engine, second)) == (1, 0)


async def test_exactly_the_limit_is_made_of_claims_at_once_and_others_are_not_concerned(engine: AsyncEngine) -> None:
    full, other = await new_account(engine), await new_account(engine)
    claims = AgentClaims(engine, 7)
    outcomes = await asyncio.gather(
        *(claims.claim(unique("a"), full) for _ in range(20)),
        *(claims.claim(unique("b"), other) for _ in range(5)),
        return_exceptions=True,
    )
    assert (outcomes[:20].count(full), outcomes[20:]) == (7, [other] * 5)
    assert sum(isinstance(outcome, AgentLimitReached) for outcome in outcomes) == 13
    assert len(await agents.list_of(engine, full)) == await count_of(engine, full) == 7


async def test_an_account_that_has_gone_fails_alone(engine: AsyncEngine) -> None:
    account_id, claims = await new_account(engine), AgentClaims(engine, 9)
    outcomes = await asyncio.gather(
        claims.claim(unique("a"), account_id), claims.claim(unique("a"), "acc_gone"), return_exceptions=True
    )
    assert outcomes[0] == account_id
    assert isinstance(outcomes[1], IntegrityError)


async def test_a_caller_that_gives_up_takes_nobody_with_it(engine: AsyncEngine) -> None:
    account_id, claims = await new_account(engine), AgentClaims(engine, 9)
    gone = asyncio.create_task(claims.claim(unique("a"), account_id))
    stays = asyncio.create_task(claims.claim(unique("a"), account_id))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == account_id


async def test_what_waits_has_a_bound_and_ends_with_the_gateway(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_claims, "WAITING_MOST", 2)
    claims = AgentClaims(engine, 9)
    waiting = [asyncio.create_task(claims.claim(unique("a"), "acc_1")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ClaimsOverloaded, match="too many"):
        await waiting[2]
    await claims.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ClaimsOverloaded] * 3
