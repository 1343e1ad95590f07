from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from api import keys
from api.challenge.difficulty import (
    COUNT_ANSWER,
    RATE_BUCKET_MS,
    SET_LEVEL,
    SOLVE_BUCKET_MS,
    STATE_TTL_MS,
    DifficultyRules,
    DifficultyState,
    next_level,
    stale_fields,
    state_from_redis,
)
from streaming.lua import Script

RULES = DifficultyRules()
NOW_MS = 1_800_000_000_000
COUNT = Script("count", COUNT_ANSWER + "return count_answer('a-1', ARGV[1], ARGV[2] == '1', ARGV[3] == '1')")


def counted(answers: int, invalid: int = 0, slow: int = 0, at_ms: int = NOW_MS) -> dict[str, int]:
    """Counts as Redis holds them after these answers, all at one moment."""
    short, long = at_ms // RATE_BUCKET_MS, at_ms // SOLVE_BUCKET_MS
    return {f"a{short}": answers, f"x{short}": invalid, f"v{long}": answers - invalid, f"s{long}": slow}


def level(counts: Mapping[str, int], start: int = 2, changed_ms: int = 0, now_ms: int = NOW_MS) -> int:
    return next_level(DifficultyState(start, changed_ms, counts), RULES, now_ms)


@pytest.mark.parametrize(
    ("answers", "invalid", "expected"),
    [(0, 0, 2), (1, 0, 2), (1, 1, 3), (5, 1, 2), (10, 2, 2), (10, 3, 3), (100, 20, 2), (100, 21, 3)],
)
def test_up_when_more_than_a_fifth_is_invalid(answers: int, invalid: int, expected: int) -> None:
    assert level(counted(answers, invalid)) == expected


@pytest.mark.parametrize(("answers", "expected"), [(150, 2), (151, 3)])
def test_up_when_they_come_too_fast(answers: int, expected: int) -> None:
    assert level(counted(answers)) == expected


@pytest.mark.parametrize(("solved", "slow", "expected"), [(1, 1, 1), (20, 1, 2), (20, 2, 1), (100, 5, 2), (100, 6, 1)])
def test_down_when_the_p95_of_solving_passes_the_limit(solved: int, slow: int, expected: int) -> None:
    assert level(counted(solved, slow=slow)) == expected


def test_up_wins_over_down() -> None:
    assert level(counted(10, invalid=5, slow=5)) == 3


def test_the_bounds_hold() -> None:
    assert level(counted(10, invalid=10), start=3) == 3
    assert level(counted(10, slow=10), start=0) == 0


@pytest.mark.parametrize(("since_ms", "expected"), [(0, 2), (9_999, 2), (10_000, 3), (60_000, 3)])
def test_one_step_in_ten_seconds(since_ms: int, expected: int) -> None:
    assert level(counted(10, invalid=10), changed_ms=NOW_MS - since_ms) == expected


@pytest.mark.parametrize(("age_ms", "expected"), [(0, 3), (29_000, 3), (36_000, 2)])
def test_invalid_answers_count_for_half_a_minute(age_ms: int, expected: int) -> None:
    assert level(counted(1, invalid=1, at_ms=NOW_MS - age_ms)) == expected


@pytest.mark.parametrize(("age_ms", "expected"), [(0, 1), (299_000, 1), (331_000, 2)])
def test_slow_solves_count_for_five_minutes(age_ms: int, expected: int) -> None:
    assert level(counted(1, slow=1, at_ms=NOW_MS - age_ms)) == expected


def test_what_no_window_reaches_is_stale_and_nothing_else() -> None:
    old, fresh = counted(1, 1, 1, NOW_MS - 400_000), counted(1, 1, 1)
    state = DifficultyState(2, 0, old | fresh)
    assert set(stale_fields(state, RULES, NOW_MS)) == set(old)


def test_counts_of_the_future_go_too() -> None:
    """A clock that was set back must not leave counts that never age."""
    state = DifficultyState(2, 0, counted(1, at_ms=NOW_MS + 3_600_000))
    assert set(stale_fields(state, RULES, NOW_MS)) == set(state.counts)


@given(
    st.lists(st.tuples(st.integers(0, 15_000), st.booleans(), st.booleans()), min_size=1, max_size=200),
    st.integers(0, 3),
)
def test_no_sequence_of_answers_breaks_the_bounds_or_the_pace(
    answers: list[tuple[int, bool, bool]], start: int
) -> None:
    now, state = NOW_MS, DifficultyState(start)
    for pause_ms, invalid, slow in answers:
        now += pause_ms
        counts = dict(state.counts)
        for name, more in counted(1, int(invalid), int(slow and not invalid), now).items():
            counts[name] = counts.get(name, 0) + more
        state = DifficultyState(state.level, state.changed_ms, counts)
        before = state
        new = next_level(state, RULES, now)
        assert 0 <= new <= 3
        assert abs(new - before.level) <= 1
        if new != before.level:
            assert before.changed_ms == 0 or now - before.changed_ms >= 10_000
            state = DifficultyState(new, now, counts)
        state = DifficultyState(
            state.level,
            state.changed_ms,
            {name: n for name, n in state.counts.items() if name not in stale_fields(state, RULES, now)},
        )
        assert len(state.counts) <= 60


# in Redis


async def count(redis: Redis, now_ms: int, *, invalid: bool = False, slow: bool = False) -> list[bytes]:
    args = (now_ms, int(invalid), int(slow))
    found: list[bytes] = await redis.eval(COUNT.source, 0, *args)
    return found


async def test_answers_are_counted_where_the_rules_look(redis: Redis) -> None:
    await count(redis, NOW_MS)
    await count(redis, NOW_MS, slow=True)
    await count(redis, NOW_MS, invalid=True, slow=True)
    state = state_from_redis(await count(redis, NOW_MS + 1_000), RULES)
    assert state == DifficultyState(2, 0, counted(4, 1, 1))
    assert 0 < await redis.pttl(keys.difficulty("a-1")) <= STATE_TTL_MS


async def test_the_rules_are_due_once_a_second(redis: Redis) -> None:
    assert await count(redis, NOW_MS) != []
    assert await count(redis, NOW_MS + 999) == []
    assert await count(redis, NOW_MS + 1_000) != []
    assert await count(redis, NOW_MS - 3_600_000) != []  # the clock was set back


async def set_level(redis: Redis, *args: str | int) -> int:
    moved: int = await redis.eval(SET_LEVEL.source, 1, keys.difficulty("a-1"), *args)
    return moved


async def test_of_two_gateways_one_moves_the_level(redis: Redis) -> None:
    assert await set_level(redis, 3, 0, NOW_MS) == 1
    assert await set_level(redis, 3, 0, NOW_MS + 1) == 0
    assert await set_level(redis, 2, NOW_MS, NOW_MS + 2) == 1
    assert await redis.hgetall(keys.difficulty("a-1")) == {b"level": b"2", b"changed": b"%d" % (NOW_MS + 2)}


async def test_stale_counts_are_dropped_with_or_without_a_new_level(redis: Redis) -> None:
    await redis.hset(keys.difficulty("a-1"), mapping={"a1": 1, "a2": 2})
    assert await set_level(redis, "", 0, NOW_MS, "a1") == 0
    assert await redis.hgetall(keys.difficulty("a-1")) == {b"a2": b"2"}
