"""Which account an agent id belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from config.errors import ServerError
from store.models import Account, Agent


class AgentLimitReached(ServerError):
    """The account has as many agents as it may have."""

    reason = "agent_limit_reached"


@dataclass(frozen=True, slots=True)
class OwnedAgent:
    """An agent of an account."""

    agent_id: str
    created_at: datetime
    #: Whether anybody may read what it thinks.
    thoughts_public: bool = False


async def claim(engine: AsyncEngine, agent_id: str, account_id: str, *, limit: int) -> str:
    """Take ``agent_id`` for the account unless somebody has it; returns whose it is.

    The primary key decides who was first, and the account's counter moves in the same transaction, so ``limit``
    holds exactly.

    Raises:
        AgentLimitReached: it was free, but the account has ``limit`` agents already.
    """
    statement = (
        insert(Agent)
        .values(agent_id=agent_id, account_id=account_id)
        .on_conflict_do_nothing(index_elements=[Agent.agent_id])
        .returning(Agent.account_id)
    )
    count = (
        update(Account)
        .where(Account.account_id == account_id, Account.agent_count < limit)
        .values(agent_count=Account.agent_count + 1)
        .returning(Account.agent_count)
    )
    async with engine.begin() as connection:
        if await connection.scalar(statement) is None:
            owner: str = (
                await connection.execute(select(Agent.account_id).where(Agent.agent_id == agent_id))
            ).scalar_one()
            return owner
        if await connection.scalar(count) is None:
            raise AgentLimitReached(account_id)
    return account_id


async def owner_of(engine: AsyncEngine, agent_id: str) -> str | None:
    """Return whose agent it is; None: nobody's yet."""
    async with engine.connect() as connection:
        owner: str | None = await connection.scalar(select(Agent.account_id).where(Agent.agent_id == agent_id))
        return owner


async def list_of(engine: AsyncEngine, account_id: str, *, after: str = "", limit: int = 1000) -> list[OwnedAgent]:
    """Return the account's agents by id, from the one behind ``after`` on, at most ``limit``."""
    statement = (
        select(Agent.agent_id, Agent.created_at, Agent.thoughts_public)
        .where(Agent.account_id == account_id, Agent.agent_id > after)
        .order_by(Agent.agent_id)
        .limit(limit)
    )
    async with engine.connect() as connection:
        return [OwnedAgent(*row) for row in await connection.execute(statement)]


async def show_thoughts(engine: AsyncEngine, agent_id: str, account_id: str, *, public: bool) -> OwnedAgent | None:
    """Let anybody read what the account's agent thinks, or nobody else; None: it is not the account's."""
    statement = (
        update(Agent)
        .where(Agent.agent_id == agent_id, Agent.account_id == account_id)
        .values(thoughts_public=public)
        .returning(Agent.agent_id, Agent.created_at, Agent.thoughts_public)
    )
    async with engine.begin() as connection:
        row = (await connection.execute(statement)).one_or_none()
    return None if row is None else OwnedAgent(*row)


async def thoughts_are_public(engine: AsyncEngine, agent_id: str) -> bool:
    """Return whether anybody may read what it thinks."""
    async with engine.connect() as connection:
        return bool(await connection.scalar(select(Agent.thoughts_public).where(Agent.agent_id == agent_id)))
