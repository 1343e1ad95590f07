"""Ending all sessions of an agent or an account, for operators."""

from __future__ import annotations

import asyncio
from typing import Final

from api.services import Services
from store import sessions

#: Sessions ended in one round.
AT_ONCE: Final = 500
ROUNDS_MOST: Final = 200


async def revoke_sessions(services: Services, *, account_id: str | None, agent_id: str | None) -> int:
    """End them, close what is open with them, and return how many there were.

    They are found by their rows, which are written a moment after a session is opened.  First they end, then the rows
    say so: broken off in between, the same call ends the rest.
    """
    await services.session_log.flush()
    ended: set[str] = set()
    for _ in range(ROUNDS_MOST):
        found = await sessions.live_of(services.engine, account_id=account_id, agent_id=agent_id, limit=AT_ONCE)
        if not found:
            break
        await asyncio.gather(*(services.sessions.revoke_jti(jti) for jti in found))
        await sessions.revoke_many(services.engine, found)
        ended.update(found)
    return len(ended)
