"""The sessions of models, in Redis: which agent each plays, and which gateway plays it.

    mcp:{session}          hash, TTL: account, key (its id), agent, host (a gateway), until (ms: host's lease)
    mcpaccount:{account}   zset, TTL: session -> when it expires (ms)
    mcpsessions            zset, TTL: the same of all accounts
    mcpmap:{agent}         string, TTL: the agent's map, packed (``cluster.hosted.hosted_agent``)

A session is no secret: whoever uses one shows an API key of its account each time.  Its gateway holds a lease, so that
one session has one connection into the world; killed at any moment, it leaves a lease that runs out, or that is taken
at once by whoever finds that nobody listens to the gateway any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api import keys
from api.accounts.auth import RedisCalls
from streaming.lua import load

__all__ = ["MAP_TTL_S", "SESSION_LEASE_MS", "ModelSession", "ModelSessions", "new_session_id"]

#: How long a gateway that says nothing keeps a session; it says so every ``KEEP_EVERY_S`` (``players``).
SESSION_LEASE_MS: Final = 15_000
MAP_TTL_S: Final = 86_400

OPEN: Final = load("cluster/hosted/open_session.lua", keys)
USE: Final = load("cluster/hosted/use_session.lua", keys)
CLAIM: Final = load("cluster/hosted/claim_session.lua", keys)
KEEP: Final = load("cluster/hosted/keep_sessions.lua", keys)
LEAVE: Final = load("cluster/hosted/leave_session.lua", keys)
CHOOSE: Final = load("cluster/hosted/choose_agent.lua", keys)
LOSE: Final = load("cluster/hosted/lose_agent.lua", keys)
END: Final = load("cluster/hosted/end_session.lua", keys)


@dataclass(frozen=True, slots=True)
class ModelSession:
    """A session: the agent that was chosen, and the gateway that plays it; each may be empty."""

    session_id: str
    agent_id: str
    host: str


def new_session_id() -> str:
    """Make a session's id."""
    return f"mcp_{secrets.token_hex(16)}"


class ModelSessions:
    """Opens, finds, gives away and ends sessions.  Every method raises ``RedisError`` when Redis does not answer.

    Args:
        redis: batched calls.
        ttl_s: how long an unused session is kept.
        account_max: how many an account may have; beyond it the one unused for longest ends.
        most: how many there may be in all.
    """

    def __init__(self, redis: RedisCalls, *, ttl_s: int, account_max: int, most: int) -> None:
        self._redis = redis
        self._ttl_ms = ttl_s * 1000
        self._account_max = account_max
        self._most = most

    async def open(self, session_id: str, account_id: str, key_id: str) -> bool:
        """Open a session, or find it there; return False when there are too many in all."""
        call = OPEN(
            sid=session_id,
            account=account_id,
            key_id=key_id,
            ttl_ms=self._ttl_ms,
            account_max=self._account_max,
            most=self._most,
        )
        return bool(await self._redis.run(call) != b"full")

    async def use(self, session_id: str, account_id: str) -> ModelSession | None:
        """Return an account's session, and prolong it; None when there is none of that id."""
        found = await self._redis.run(USE(sid=session_id, account=account_id, ttl_ms=self._ttl_ms))
        return ModelSession(session_id, found[0].decode(), found[1].decode()) if found else None

    async def choose(self, session_id: str, agent_id: str) -> bool:
        """Note which agent it plays; return False when it has ended."""
        return bool(await self._redis.run(CHOOSE(sid=session_id, agent=agent_id)))

    async def lose(self, session_id: str, gateway: str, agent_id: str) -> bool:
        """Note that ``gateway`` has lost a session's agent to another client.

        Return False, with nothing changed, when the session plays another agent by now, or on another gateway.
        """
        return bool(await self._redis.run(LOSE(sid=session_id, gateway=gateway, agent=agent_id)))

    async def claim(self, session_id: str, gateway: str, *, lost: str = "") -> str:
        """Have ``gateway`` play a session, unless another one does that is not ``lost``; return who does.

        Empty: the session has ended.
        """
        call = CLAIM(sid=session_id, gateway=gateway, lost=lost, lease_ms=SESSION_LEASE_MS)
        host: bytes = await self._redis.run(call)
        return host.decode()

    async def keep(self, gateway: str, session_ids: Sequence[str]) -> list[str]:
        """Prolong the gateway's leases; return the sessions that are not its own any more."""
        lost = await self._redis.run(KEEP(gateway=gateway, lease_ms=SESSION_LEASE_MS, sids=list(session_ids)))
        return [one.decode() for one in lost]

    async def leave(self, session_id: str, gateway: str) -> None:
        """Let another gateway play a session."""
        await self._redis.run(LEAVE(sid=session_id, gateway=gateway))

    async def end(self, session_id: str, account_id: str) -> str | None:
        """End an account's session; return who plays it, which may be nobody (empty); None when there is none."""
        found = await self._redis.run(END(sid=session_id, account=account_id))
        return found[0].decode() if found else None
