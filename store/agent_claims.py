"""Claims of agents (``store.agents``), gathered: what comes while a transaction is under way shares the next.

The count of an account's agents is one row, which a transaction holds until it is on the disk; one claim a transaction
would let an account in at the pace of its disk.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final, NamedTuple

from sqlalchemy import Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import agents
from store.models import Account, Agent

TOGETHER_MOST: Final = 100
WAITING_MOST: Final = 5_000


#: Two arrays, so that the statement is the same however many claims there are, and is made into SQL once.
_TAKE: Final = (
    insert(Agent)
    .from_select(
        ["agent_id", "account_id"],
        select(
            func.unnest(bindparam("agent_ids", type_=ARRAY(Text))),
            func.unnest(bindparam("account_ids", type_=ARRAY(Text))),
        ),
    )
    .on_conflict_do_nothing(index_elements=[Agent.agent_id])
    .returning(Agent.agent_id, Agent.account_id)
)


class ClaimsOverloaded(ConnectionError):
    """More than ``WAITING_MOST`` claims wait for the database, or it is being closed."""


class _OneByOneError(Exception):
    """The claims can't be made together: one of them must be refused."""


class _Claim(NamedTuple):
    agent_id: str
    account_id: str
    owner: asyncio.Future[str]


class AgentClaims:
    """The claims of one gateway.

    Args:
        limit: how many agents an account may have.
    """

    def __init__(self, engine: AsyncEngine, limit: int) -> None:
        self._engine = engine
        self._limit = limit
        self._waiting: list[_Claim] = []
        self._writer: asyncio.Task[None] | None = None

    async def claim(self, agent_id: str, account_id: str) -> str:
        """Take the agent for the account unless somebody has it; return whose it is, as ``store.agents.claim``.

        Raises:
            AgentLimitReached: it was free, but the account has as many as it may have.
            ClaimsOverloaded: nothing was done.
        """
        if len(self._waiting) >= WAITING_MOST:
            raise ClaimsOverloaded("too many claims of agents wait for the database")
        claim = _Claim(agent_id, account_id, asyncio.get_running_loop().create_future())
        self._waiting.append(claim)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_on(), name="agent-claims")
        return await claim.owner

    async def close(self) -> None:
        """Stop; those who still wait are told so."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        _fail(self._waiting, ClaimsOverloaded("the gateway is stopping"))
        self._waiting = []

    async def _write_on(self) -> None:
        while self._waiting:
            together = self._next()
            try:
                await self._write(together)
            except asyncio.CancelledError:
                _fail(together, ClaimsOverloaded("the gateway is stopping"))
                raise
            except Exception as error:  # whatever it was, everybody who waits must hear of it
                _fail(together, error)

    def _next(self) -> list[_Claim]:
        """Take the next claims, of each agent one."""
        taken: dict[str, _Claim] = {}
        left: list[_Claim] = []
        for claim in self._waiting:
            if claim.agent_id in taken or len(taken) >= TOGETHER_MOST:
                left.append(claim)
            else:
                taken[claim.agent_id] = claim
        self._waiting = left
        # In one order on every gateway, so that none waits for another in a circle.
        return [taken[agent_id] for agent_id in sorted(taken)]

    async def _write(self, claims: list[_Claim]) -> None:
        try:
            async with self._engine.begin() as connection:
                owners = await self._owners(connection, claims)
        except (_OneByOneError, IntegrityError):
            for claim in claims:
                await self._write_alone(claim)
            return
        for claim in claims:
            if not claim.owner.done():
                claim.owner.set_result(owners[claim.agent_id])

    async def _owners(self, connection: AsyncConnection, claims: list[_Claim]) -> dict[str, str]:
        """Claim all of them; return whose each agent is."""
        rows = {
            "agent_ids": [claim.agent_id for claim in claims],
            "account_ids": [claim.account_id for claim in claims],
        }
        owners = {row.agent_id: row.account_id for row in await connection.execute(_TAKE, rows)}
        for account_id, made in sorted(Counter(owners.values()).items()):
            count = (
                update(Account)
                .where(Account.account_id == account_id, Account.agent_count <= self._limit - made)
                .values(agent_count=Account.agent_count + made)
                .returning(Account.agent_count)
            )
            if await connection.scalar(count) is None:
                raise _OneByOneError
        others = [claim.agent_id for claim in claims if claim.agent_id not in owners]
        if others:
            found = select(Agent.agent_id, Agent.account_id).where(Agent.agent_id.in_(others))
            owners |= {row.agent_id: row.account_id for row in await connection.execute(found)}
        if len(owners) < len(claims):
            raise _OneByOneError  # one has gone with its account meanwhile
        return owners

    async def _write_alone(self, claim: _Claim) -> None:
        try:
            owner = await agents.claim(self._engine, claim.agent_id, claim.account_id, limit=self._limit)
        except Exception as error:  # the others are not concerned
            _fail([claim], error)
            return
        if not claim.owner.done():
            claim.owner.set_result(owner)


def _fail(claims: list[_Claim], error: Exception) -> None:
    for claim in claims:
        if not claim.owner.done():
            claim.owner.set_exception(error)
