"""Tokens of a bucket that a gateway has taken in advance, so that it need not ask Redis for each.

Redis' bucket stays the judge: what is held here was taken from it, so all gateways together never hand out more than
it had.  A gateway takes a small part at a time and puts back what it has not used; one that dies takes its part with
it, which comes back with time like any token.  See docs/decisions/0042-rate-limits.md.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from api.accounts.auth import RedisCalls
from api.limits.rate_limit import LEASE, RETURN, Bucket

#: The part of the bucket that a lease takes, at least one token: what other gateways may miss for a while.
PART: Final = 0.01


class LeasedTokens:
    """The leased tokens of one bucket."""

    def __init__(self, redis: RedisCalls, bucket: Bucket) -> None:
        self._redis = redis
        self._key, self._burst, self._interval_us = bucket.args
        self._most = max(1, int(bucket.limit.burst * PART))
        self._lock = asyncio.Lock()
        self._none_until = 0.0
        self.held = 0

    def take_held(self) -> bool:
        """Take a token that is held; return False when there is none: ``take`` has to ask Redis."""
        if self.held:
            self.held -= 1
            return True
        return False

    async def take(self) -> int:
        """Take a token; return 0, or the milliseconds until there will be one.

        Raises:
            redis.exceptions.RedisError: Redis did not answer: whoever asks must refuse (the limit fails closed).
        """
        async with self._lock:  # one lease at a time, or as many parts would be taken as there are agents
            if not self.held:
                wait_ms = int((self._none_until - time.monotonic()) * 1000)
                if wait_ms > 0:
                    return wait_ms
                self.held, wait_ms = await self._redis.run(
                    LEASE(key=self._key, burst=self._burst, interval_us=self._interval_us, most=self._most)
                )
                if wait_ms:
                    self._none_until = time.monotonic() + wait_ms / 1000
                    return int(wait_ms)
            self.held -= 1
            return 0

    async def give_back(self) -> None:
        """Put what is held back.  Raises ``RedisError``: it is lost, and comes back with time."""
        tokens, self.held = self.held, 0
        if tokens:
            await self._redis.run(
                RETURN(key=self._key, burst=self._burst, interval_us=self._interval_us, tokens=tokens)
            )
