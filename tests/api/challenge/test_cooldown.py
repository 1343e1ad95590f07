from __future__ import annotations

import pytest
from redis.asyncio import Redis

from api import keys
from api.challenge.cooldown import CooldownRules
from streaming.lua import Script, fragment

RULES = CooldownRules()
NOW_MS = 1_800_000_000_000
COUNT = Script("count", fragment("api/challenge/count_failure.lua", keys) + "return count_failure('a-1', unpack(ARGV))")


async def fail(redis: Redis, at_ms: int, rules: CooldownRules = RULES) -> int:
    args = (at_ms, rules.failures_max, rules.window_ms, rules.cooldown_ms, rules.memory_ms)
    cooldowns: int = await redis.eval(COUNT.source, 0, *args)
    return cooldowns


async def test_five_failures_pass_and_the_sixth_begins_a_cooldown(redis: Redis) -> None:
    assert [await fail(redis, NOW_MS + n) for n in range(6)] == [0, 0, 0, 0, 0, 1]
    assert 29_000 < await redis.pttl(keys.cooldown("a-1")) <= 30_000
    assert not await redis.exists(keys.failures("a-1"))


@pytest.mark.parametrize(("span_ms", "expected"), [(60_000, 1), (60_001, 0)])
async def test_the_window_slides(redis: Redis, span_ms: int, expected: int) -> None:
    """Six failures count together when the first and the last are at most a minute apart."""
    await fail(redis, NOW_MS)
    for _ in range(4):
        await fail(redis, NOW_MS + span_ms)
    assert await fail(redis, NOW_MS + span_ms) == expected


async def test_cooldowns_are_counted(redis: Redis) -> None:
    counts = [await fail(redis, NOW_MS + n) for n in range(18)]
    assert [count for count in counts if count] == [1, 2, 3]


async def test_nothing_is_kept_for_ever(redis: Redis) -> None:
    """No key of the limiter lacks an expiry, whenever one looks (pitfall B20)."""
    for n in range(8):
        await fail(redis, NOW_MS + n)
        for key in await redis.keys():
            assert await redis.pttl(key) > 0, key


async def test_a_clock_that_was_set_back_still_bounds(redis: Redis) -> None:
    for n in range(5):
        await fail(redis, NOW_MS + n)
    assert await fail(redis, NOW_MS - 3_600_000) == 1


@pytest.mark.parametrize(
    ("cooldowns", "refusals", "expected"),
    [(0, 0, False), (2, 99, False), (3, 0, True), (0, 100, True), (7, 500, True)],
)
def test_on_and_on_means_the_third_cooldown_or_a_hundred_refusals(
    cooldowns: int, refusals: int, expected: bool
) -> None:
    assert RULES.must_close(cooldowns, refusals) is expected
