"""Violations of an agent and what they cost it: the third within an hour mutes it for ten minutes.

Kept in Redis per agent, so they hold over reconnects, sessions and gateways.  Each violation is forgotten by itself
after ``memory_ms``; the one that mutes takes the others with it, so that counting begins anew after the mute.

    strikes:{agent}   list of the times (ms, Redis' clock) at which each is forgotten, newest first
    mute:{agent}      ``strikes`` or ``operator``; its expiry is the end of the mute
    moderated         the agents that were given a strike or muted of late, by when (zset), for operators' lists

See docs/decisions/0041-moderation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api import keys
from api.accounts.auth import RedisCalls
from streaming.lua import load

__all__ = ["Standing", "StrikeBook", "StrikeRules"]


@dataclass(frozen=True, slots=True)
class StrikeRules:
    """The ``strikes_max``-th violation that is not yet forgotten mutes for ``mute_ms``."""

    strikes_max: int = 3
    memory_ms: int = 3_600_000
    mute_ms: int = 600_000


STANDINGS: Final = load("api/limits/standings.lua", keys)
MUTE: Final = load("api/limits/mute.lua", keys)
UNMUTE: Final = load("api/limits/unmute.lua", keys)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an agent stands.

    ``strikes``: violations not yet forgotten; ``forgets_in_ms``: until the oldest of them is.
    ``muted_by``: ``strikes``, ``operator`` or None; ``muted_ms``: for how long still.
    """

    strikes: int
    forgets_in_ms: int
    muted_by: str | None
    muted_ms: int
    #: When it was last given a strike or muted, Unix ms; None: not of late, or it was unmuted since.
    last_ms: int | None = None


class StrikeBook:
    """Reads and changes an agent's standing, for operators.  Raises ``RedisError`` when Redis does not answer.

    (Violations are counted by ``api/challenge/speak.lua``, in the step that decides about the message.)
    """

    def __init__(self, redis: RedisCalls) -> None:
        self._redis = redis

    async def standing(self, agent_id: str) -> Standing:
        """Return where an agent stands."""
        return (await self.standings([agent_id]))[0]

    async def standings(self, agent_ids: Sequence[str]) -> list[Standing]:
        """Return where several agents stand, in their order."""
        return [
            Standing(strikes, next_ms, muted_by.decode() or None, muted_ms, int(float(last)) if last else None)
            for strikes, next_ms, muted_by, muted_ms, last in await self._redis.run(STANDINGS(ids=agent_ids))
        ]

    async def moderated(self, first: int, most: int) -> tuple[list[str], int]:
        """Return agents that were given a strike or muted, the last one first, from the ``first`` on; and their number.

        Of the newest ``api.keys.MODERATED_MOST``; who was unmuted since is not among them.
        """
        found = await self._redis.command("ZREVRANGE", keys.MODERATED, first, first + most - 1)
        return [agent_id.decode() for agent_id in found], await self._redis.command("ZCARD", keys.MODERATED)

    async def mute(self, agent_id: str, duration_ms: int) -> None:
        """Mute from now on for ``duration_ms``, whatever was before."""
        await self._redis.run(MUTE(id=agent_id, duration_ms=duration_ms))

    async def unmute(self, agent_id: str) -> bool:
        """End a mute and forget all strikes; return whether there was anything to end or forget."""
        return bool(await self._redis.run(UNMUTE(id=agent_id)))
