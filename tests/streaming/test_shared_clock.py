"""The clock that all processes share, and machines whose own is wrong."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from unittest.mock import patch

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from streaming.shared_clock import READ_AGAIN_S, SLOW_MOST, SharedClock


class FakeRedis:
    """Redis' clock, with a line that takes its time."""

    def __init__(self) -> None:
        self.ahead_s = 100.0
        self.way_s = 0.0
        self.away = False
        self.asked = 0

    async def time(self) -> tuple[int, int]:
        self.asked += 1
        if self.away:
            raise RedisConnectionError("away")
        now = time.time() + self.ahead_s
        await asyncio.sleep(self.way_s)
        return int(now), int(now % 1 * 1e6)


async def test_it_is_redis_clock_and_not_this_machines(redis: Redis) -> None:
    clock, real = SharedClock(), time.time
    assert clock.skew_s() is None
    assert abs(clock.now_s() - real()) < 1
    with patch("time.time", lambda: real() + 3600):
        await clock.read(redis)
        assert abs(clock.now_s() - real()) < 1
        assert clock.skew_s() == pytest.approx(3600, abs=1)
    # Setting this machine's clock does not move it.
    assert abs(clock.now_s() - real()) < 1
    assert clock.skew_s() == pytest.approx(0, abs=1)


async def test_a_slow_reading_counts_only_when_there_is_no_better_one() -> None:
    clock, redis = SharedClock(), FakeRedis()
    await clock.read(redis)  # type: ignore[arg-type]
    redis.way_s, redis.ahead_s = 0.15, 200.0
    for _ in range(SLOW_MOST):
        await clock.read(redis)  # type: ignore[arg-type]
        assert clock.now_s() - time.time() == pytest.approx(100, abs=1)
    await clock.read(redis)  # type: ignore[arg-type]
    assert clock.now_s() - time.time() == pytest.approx(200, abs=1)


async def test_it_goes_on_without_redis_and_is_read_again() -> None:
    clock, redis = SharedClock(), FakeRedis()
    redis.away = True
    keeping = asyncio.create_task(clock.keep(redis))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        while redis.asked < 2:
            await asyncio.sleep(READ_AGAIN_S / 5)
        redis.away = False
        while clock.skew_s() is None:
            await asyncio.sleep(READ_AGAIN_S / 5)
    assert clock.skew_s() == pytest.approx(-100, abs=1)
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
