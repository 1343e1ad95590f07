"""Ownership of agents: an id belongs to the account that first opened a session for it (contract, "Endpoints").

PostgreSQL decides who was first; Redis (``agent:{id}``, field ``account``) remembers, so that a session POST for an
agent one has costs no query.
"""

from __future__ import annotations

from typing import Final

from api.accounts.auth import DEV_ACCOUNT_ID, RedisCalls
from api.errors import ApiError
from store.agent_claims import AgentClaims
from store.agents import AgentLimitReached
from streaming import keys

AGENTS_PER_ACCOUNT_MAX: Final = 100_000

#: Ids of the demo actors; nobody can take them, with or without a demo running.
RESERVED_IDS: Final = frozenset({"demo-player"})
RESERVED_PREFIXES: Final = ("demo-user-", "demo-npc-")


def is_reserved(agent_id: str) -> bool:
    """Return whether an id is one of the demo actors'."""
    return agent_id in RESERVED_IDS or agent_id.startswith(RESERVED_PREFIXES)


async def claim_agent(claims: AgentClaims, redis: RedisCalls, agent_id: str, account_id: str) -> None:
    """Take the agent for the account, or find that it has it.

    Raises:
        ApiError: ``agent_not_owned``: somebody else's; ``agent_limit_reached``.
    """
    if is_reserved(agent_id):
        owner = DEV_ACCOUNT_ID
    else:
        known = await redis.command("HGET", keys.agent(agent_id), "account")
        owner = known.decode() if known else ""
    if not owner:
        try:
            owner = await claims.claim(agent_id, account_id)
        except AgentLimitReached as error:
            raise ApiError(error.reason) from None
        await redis.command("HSET", keys.agent(agent_id), "account", owner)
    if owner != account_id:
        raise ApiError("agent_not_owned")
