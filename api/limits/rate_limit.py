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
from streaming.lua import load

__all__ = ["Bucket", "RateLimiter"]

log = structlog.get_logger(__name__)

TAKE: Final = load("api/limits/take_tokens.lua")
GIVE_BACK: Final = load("api/limits/give_back_tokens.lua")
LEASE: Final = load("api/limits/lease_tokens.lua")
RETURN: Final = load("api/limits/return_tokens.lua")


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket.  ``kind``: which limit it is of, a fixed name; ``who``: whose it is."""

    kind: str
    who: str
    limit: Limit

    @property
    def args(self) -> tuple[str, int, int]:
        """Return key, burst and interval, as the scripts take them."""
        return limit_bucket(self.kind, self.who), self.limit.burst, self.limit.interval_us


class RateLimiter:
    """Takes and gives back tokens for HTTP endpoints; commands have leases (``LeasedTokens``)."""

    def __init__(self, redis: RedisCalls) -> None:
        self._redis = redis

    async def take(self, buckets: Sequence[Bucket]) -> None:
        """Take a token of each bucket, or of none.

        Raises:
            ApiError: ``rate_limited``: one is empty; ``retry_after_s`` says for how long.
            redis.exceptions.RedisError: Redis did not answer: whoever asks must refuse (the limit fails closed).
        """
        try:
            empty, wait_ms = await self._redis.run(TAKE(buckets=[bucket.args for bucket in buckets]))
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
            await self._redis.run(GIVE_BACK(buckets=[bucket.args for bucket in buckets]))
        except (RedisError, OSError) as error:
            log.warning("rate_limit_not_given_back", limit=buckets[0].kind, error=type(error).__name__)
