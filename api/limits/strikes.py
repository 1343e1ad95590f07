"""Violations of an agent and what they cost it: the third within an hour mutes it for ten minutes.

Kept in Redis per agent, so they hold over reconnects, sessions and gateways.  Each violation is forgotten by itself
after ``memory_ms``; the one that mutes takes the others with it, so that counting begins anew after the mute.

    strikes:{agent}   list of the times (ms, Redis' clock) at which each is forgotten, newest first
    mute:{agent}      ``strikes`` or ``operator``; its expiry is the end of the mute

See docs/decisions/0041-moderation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from api.accounts.auth import RedisCalls
from streaming.lua import Script

__all__ = ["COUNT_STRIKE", "Standing", "StrikeBook", "StrikeRules"]


@dataclass(frozen=True, slots=True)
class StrikeRules:
    """The ``strikes_max``-th violation that is not yet forgotten mutes for ``mute_ms``."""

    strikes_max: int = 3
    memory_ms: int = 3_600_000
    mute_ms: int = 600_000


_CLOCK: Final = """
local function redis_now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

#: Defines ``count_strike(id, strikes_max, memory_ms, mute_ms)``: counts a violation.  Gives how many more mute the
#: agent; 0: this one has.
COUNT_STRIKE: Final = (
    _CLOCK
    + """
local function count_strike(id, most, memory_ms, mute_ms)
  local key, now = 'strikes:' .. id, redis_now_ms()
  redis.call('LPUSH', key, string.format('%d', now + memory_ms))
  redis.call('LTRIM', key, 0, most - 1)
  redis.call('PEXPIRE', key, memory_ms)
  local left = most
  for _, forgotten_at in ipairs(redis.call('LRANGE', key, 0, -1)) do
    if tonumber(forgotten_at) > now then left = left - 1 end
  end
  if left > 0 then return left end
  redis.call('DEL', key)
  redis.call('SET', 'mute:' .. id, 'strikes', 'PX', mute_ms)
  return 0
end
"""
)

STANDING: Final = Script(
    "strikes_standing",
    _CLOCK
    + """
local id, now, live, next_ms = ARGV[1], redis_now_ms(), 0, 0
for _, forgotten_at in ipairs(redis.call('LRANGE', 'strikes:' .. id, 0, -1)) do
  local left = tonumber(forgotten_at) - now
  if left > 0 then live, next_ms = live + 1, left end
end
local muted_by = redis.call('GET', 'mute:' .. id)
return {live, next_ms, muted_by or '', muted_by and redis.call('PTTL', 'mute:' .. id) or 0}
""",
)

#: Muting takes the strikes, as a mute that they bring about does.
MUTE: Final = Script(
    "strikes_mute",
    """
redis.call('DEL', 'strikes:' .. ARGV[1])
redis.call('SET', 'mute:' .. ARGV[1], 'operator', 'PX', ARGV[2])
return 1
""",
)

UNMUTE: Final = Script("strikes_unmute", "return redis.call('DEL', 'mute:' .. ARGV[1], 'strikes:' .. ARGV[1])")


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


class StrikeBook:
    """Reads and changes an agent's standing, for operators.  Raises ``RedisError`` when Redis does not answer.

    (Violations are counted by ``api.challenge.scripts``, in the step that decides about the message.)
    """

    def __init__(self, redis: RedisCalls) -> None:
        self._redis = redis

    async def standing(self, agent_id: str) -> Standing:
        strikes, next_ms, muted_by, muted_ms = await self._redis.eval(STANDING, (), (agent_id,))
        return Standing(strikes, next_ms, muted_by.decode() or None, muted_ms)

    async def mute(self, agent_id: str, duration_ms: int) -> None:
        """Mute from now on for ``duration_ms``, whatever was before."""
        await self._redis.eval(MUTE, (), (agent_id, duration_ms))

    async def unmute(self, agent_id: str) -> bool:
        """End a mute and forget all strikes.  Returns whether there was anything to end or forget."""
        return bool(await self._redis.eval(UNMUTE, (), (agent_id,)))
