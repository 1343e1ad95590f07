"""Token buckets in Redis: how often somebody may do something, over all gateways together.

A bucket holds up to ``burst`` tokens and gets ``per_s`` a second.  It is kept as one number, the time at which it will
be full again, under a key that expires at that very time: a full bucket is no key, and no key can outlive its use.
Each script reads and writes in one step, by Redis' own clock, so neither gateways that race nor a gateway's clock can
get more out of it.  In any window of ``burst / per_s`` seconds at most ``2 * burst`` pass.

    limit:{class}:{who}    microseconds of Unix time by which the bucket is full

See docs/decisions/0042-rate-limits.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from redis.exceptions import RedisError

from api.accounts.auth import RedisCalls
from api.errors import ApiError
from api.keys import limit_bucket
from api.limits import limit_metrics
from config.limit import Limit
from streaming.lua import Script

__all__ = ["TAKE_TOKEN", "Bucket", "RateLimiter"]

log = structlog.get_logger(__name__)

#: Defines ``redis_now_us()``; ``take_token(key, burst, interval_us, now)``, which gives 0 or the milliseconds until
#: there will be one; and its parts, ``token_wait`` (also gives when the bucket would be full) and ``write_bucket``.
TAKE_TOKEN: Final = """
local function redis_now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function write_bucket(key, full_at, now)
  if full_at <= now then redis.call('DEL', key) return end
  redis.call('SET', key, full_at, 'PX', math.ceil((full_at - now) / 1000))
end
local function read_bucket(key, burst, interval_us, now)
  local full_at, empty = tonumber(redis.call('GET', key) or now), now + burst * interval_us
  -- Later than an empty bucket's: the clock was put back, or the limit was narrowed.  It counts as empty from now on.
  if full_at > empty then write_bucket(key, empty, now) return empty end
  return math.max(full_at, now)
end
local function token_wait(key, burst, interval_us, now)
  local full_at = read_bucket(key, burst, interval_us, now) + interval_us
  return math.max(0, math.ceil((full_at - now - burst * interval_us) / 1000)), full_at
end
local function take_token(key, burst, interval_us, now)
  local wait, full_at = token_wait(key, burst, interval_us, now)
  if wait == 0 then write_bucket(key, full_at, now) end
  return wait
end
"""

#: ARGV: key, burst, interval of each bucket.  Takes a token of every bucket, or of none when one is empty.
#: Returns the number of the first empty one (0: none) and the milliseconds until all have one.
TAKE: Final = Script(
    "limit_take",
    TAKE_TOKEN
    + """
local now, empty, longest, full_at = redis_now_us(), 0, 0, {}
for i = 1, #ARGV, 3 do
  local wait
  wait, full_at[i] = token_wait(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), now)
  if wait > 0 and empty == 0 then empty = (i + 2) / 3 end
  longest = math.max(longest, wait)
end
if empty == 0 then
  for i = 1, #ARGV, 3 do write_bucket(ARGV[i], full_at[i], now) end
end
return {empty, longest}
""",
)

#: Puts a token back into every bucket; a bucket that was never touched stays full.
GIVE_BACK: Final = Script(
    "limit_give_back",
    TAKE_TOKEN
    + """
local now = redis_now_us()
for i = 1, #ARGV, 3 do
  local interval_us = tonumber(ARGV[i + 2])
  write_bucket(ARGV[i], read_bucket(ARGV[i], tonumber(ARGV[i + 1]), interval_us, now) - interval_us, now)
end
return 1
""",
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket.  ``kind`` is its class, of a handful that we choose; ``who`` whose it is."""

    kind: str
    who: str
    limit: Limit

    @property
    def args(self) -> tuple[str, int, int]:
        return limit_bucket(self.kind, self.who), self.limit.burst, self.limit.interval_us


class RateLimiter:
    """Takes and gives back tokens for HTTP endpoints.  (Commands take theirs inside ``api.challenge.scripts``.)"""

    def __init__(self, redis: RedisCalls) -> None:
        self._redis = redis

    async def take(self, buckets: Sequence[Bucket]) -> None:
        """Take a token of each bucket, or of none.

        Raises:
            ApiError: ``rate_limited``: one is empty; ``retry_after_s`` says for how long.
            redis.exceptions.RedisError: Redis did not answer: whoever asks must refuse (the limit fails closed).
        """
        try:
            empty, wait_ms = await self._redis.eval(TAKE, (), [word for bucket in buckets for word in bucket.args])
        except (RedisError, OSError) as error:
            kind = buckets[0].kind
            limit_metrics.RATE_LIMIT_UNAVAILABLE.labels(kind).inc()
            log.warning("rate_limit_unavailable", limit=kind, error=type(error).__name__)
            raise
        if empty:
            kind = buckets[empty - 1].kind
            limit_metrics.RATE_LIMITED.labels(kind).inc()
            log.debug("rate_limited", limit=kind, retry_after_ms=wait_ms)
            raise ApiError("rate_limited", retry_after_s=wait_ms / 1000)

    async def give_back(self, buckets: Sequence[Bucket]) -> None:
        """Undo a ``take``.  When Redis does not answer the tokens come back with time, like any other."""
        try:
            await self._redis.eval(GIVE_BACK, (), [word for bucket in buckets for word in bucket.args])
        except (RedisError, OSError) as error:
            log.warning("rate_limit_not_given_back", limit=buckets[0].kind, error=type(error).__name__)
