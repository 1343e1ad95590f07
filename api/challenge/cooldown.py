"""What an agent pays for failed answers: 30 s of ``rate_limited`` after more than 5 in 60 s (contract, "Playing").

Kept in Redis per agent, so it holds across reconnects, sessions and gateways.  The cooldown itself is a key with an
expiry: nothing has to end it, and it can't outlive its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CooldownRules:
    """``failures_max`` failures in ``window_ms`` pass; the next begins a cooldown of ``cooldown_ms``.

    "On and on" is the ``close_after``-th cooldown within ``memory_ms``, or ``refusals_max`` messages in a row that
    were refused as ``rate_limited``: the connection is closed.
    """

    failures_max: int = 5
    window_ms: int = 60_000
    cooldown_ms: int = 30_000
    memory_ms: int = 600_000
    close_after: int = 3
    refusals_max: int = 100

    def must_close(self, cooldowns: int, refusals_in_a_row: int) -> bool:
        return cooldowns >= self.close_after or refusals_in_a_row >= self.refusals_max


#: Defines ``count_failure(id, now_ms, failures_max, window_ms, cooldown_ms, memory_ms)``: counts one auth failure.
#: Returns the number of cooldowns of late if this one has begun another, otherwise 0.
COUNT_FAILURE: Final = """
local function count_failure(id, now_ms, failures_max, window_ms, cooldown_ms, memory_ms)
  local key = 'fails:' .. id
  redis.call('LPUSH', key, now_ms)
  redis.call('LTRIM', key, 0, failures_max)
  redis.call('PEXPIRE', key, window_ms)
  local oldest = redis.call('LINDEX', key, failures_max)
  if not oldest or tonumber(now_ms) - tonumber(oldest) > tonumber(window_ms) then return 0 end
  redis.call('DEL', key)
  redis.call('SET', 'cool:' .. id, 1, 'PX', cooldown_ms)
  redis.call('SET', 'cools:' .. id, 0, 'PX', memory_ms, 'NX')
  return redis.call('INCR', 'cools:' .. id)
end
"""
