"""The time that all processes of a world share: Redis' own.

The clocks of the machines that shards and gateways run on count for nothing: each process reads Redis' clock every few
seconds and carries it on by a clock of its own that nobody sets.  So a deadline that one process makes and another
judges means the same moment to both, within half the time of a reading's way.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

READ_EVERY_S: Final = 5.0
READ_AGAIN_S: Final = 0.5
#: A reading that took longer is left out, as less exact than the one before it, this many times in a row.
SLOW_S: Final = 0.1
SLOW_MOST: Final = 6

#: An operator is told of machines whose clock is further off.  It shows in logs and in what PostgreSQL dates, no more.
SKEW_MOST_S: Final = 2.0

# On Linux one that goes on while the machine sleeps.
_RUNNING: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _running_s() -> float:
    return time.clock_gettime(_RUNNING)


class SharedClock:
    """Redis' time as of the last reading; this machine's until there is one."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None
        self._slow = 0

    def now_s(self) -> float:
        """Return seconds of Unix time."""
        return time.time() if self._ahead_s is None else _running_s() + self._ahead_s

    def now_ns(self) -> int:
        """Return nanoseconds of Unix time."""
        return int(self.now_s() * 1e9)

    def skew_s(self) -> float | None:
        """Return how much this machine's clock is ahead of the shared one; None before the first reading."""
        return None if self._ahead_s is None else time.time() - self.now_s()

    async def read(self, redis: Redis) -> None:
        """Ask Redis for the time.  Raises ``RedisError``, ``OSError``."""
        began = _running_s()
        seconds, micros = await redis.time()
        took_s = _running_s() - began
        if took_s > SLOW_S and self._ahead_s is not None and self._slow < SLOW_MOST:
            self._slow += 1
            return
        self._slow = 0
        self._ahead_s = seconds + micros / 1e6 + took_s / 2 - _running_s()

    async def keep(self, redis: Redis) -> None:
        """Read the time for ever."""
        while True:
            try:
                await self.read(redis)
            except (RedisError, OSError, TimeoutError) as error:
                log.info("clock_not_read", error=repr(error))
                await asyncio.sleep(READ_AGAIN_S)
            else:
                await asyncio.sleep(READ_EVERY_S)


#: This process'.  It is in one world, on one Redis.
SHARED: Final = SharedClock()


def now_ms() -> int:
    """Return milliseconds of Unix time, by the clock that all processes of the world share."""
    return int(SHARED.now_s() * 1000)


def utc_now() -> datetime:
    """Return the same as a date."""
    return datetime.fromtimestamp(SHARED.now_s(), UTC)
