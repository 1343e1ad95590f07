from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.challenge.difficulty import (
    RATE_BUCKET_MS,
    SOLVE_BUCKET_MS,
    STATE_TTL_MS,
    AgentDifficulty,
    DifficultyRules,
    DifficultyState,
    next_level,
    stale_fields,
)

RULES = DifficultyRules()
NOW_MS = 1_800_000_000_000


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


# -- an agent's own, in its gateway's memory --


def flat(counts: Mapping[str, int]) -> list[bytes]:
    """As ``HGETALL`` gives a hash."""
    return [word for name, value in counts.items() for word in (name.encode(), str(value).encode())]


def test_answers_are_counted_where_the_rules_look() -> None:
    mine = AgentDifficulty(RULES)
    for invalid, slow in ((False, False), (False, True), (True, False), (False, False)):
        mine.count(NOW_MS, invalid=invalid, slow=slow)
    assert mine.unsent() == {name: count for name, count in counted(4, 1, 1).items() if count}
    assert mine.unsent() == {}
    assert mine.wanted(NOW_MS) == 3
    mine.moved(3, NOW_MS)
    assert (mine.level(NOW_MS), mine.changed_ms, mine.wanted(NOW_MS + 1_000)) == (3, NOW_MS, None)


def test_the_rules_are_applied_once_a_second() -> None:
    mine = AgentDifficulty(RULES)
    assert mine.wanted(NOW_MS) is None
    mine.count(NOW_MS, invalid=True)
    assert mine.wanted(NOW_MS + 999) is None
    assert mine.wanted(NOW_MS + 1_000) == 3
    assert mine.wanted(NOW_MS - 3_600_000 + 1) is None  # the clock was set back: what was counted is of the future
    mine.count(NOW_MS - 3_600_000, invalid=True)
    assert mine.wanted(NOW_MS - 3_600_000 + 1_002) == 3


def test_what_redis_has_is_taken_over_and_what_came_meanwhile_is_kept() -> None:
    mine = AgentDifficulty(RULES)
    mine.count(NOW_MS)
    sent = mine.unsent()
    mine.count(NOW_MS, slow=True)
    others = counted(9, invalid=1, slow=0)
    assert mine.read(flat({**others, "level": 1, "changed": NOW_MS - 20_000})) == []
    assert mine.level(NOW_MS) == 1
    assert mine._counts == {name: count + {"a": 1, "v": 1, "s": 1, "x": 0}[name[0]] for name, count in others.items()}
    mine.resend(sent)
    assert mine.unsent() == {name: count for name, count in counted(2, 0, 1).items() if count}


def test_counts_that_are_too_old_are_named_to_be_forgotten() -> None:
    mine = AgentDifficulty(RULES)
    old, fresh = counted(1, 1, 1, NOW_MS - 400_000), counted(1, 1, 1)
    mine.count(NOW_MS)
    assert set(mine.read(flat(old | fresh))) == set(old)


def test_ten_minutes_without_an_answer_forget_it() -> None:
    mine = AgentDifficulty(RULES)
    mine.read([b"level", b"0"])
    mine.count(NOW_MS)
    assert mine.level(NOW_MS + STATE_TTL_MS) == 0
    assert mine.level(NOW_MS + STATE_TTL_MS + 1) == RULES.start


@given(st.lists(st.tuples(st.integers(0, 15_000), st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_it_says_what_the_rules_say_and_stays_small(answers: list[tuple[int, bool, bool]]) -> None:
    now, mine, state = NOW_MS, AgentDifficulty(RULES), DifficultyState(RULES.start)
    for pause_ms, invalid, slow in answers:
        now += 1_000 + pause_ms
        mine.count(now, invalid=invalid, slow=slow)
        counts = dict(state.counts)
        for name, more in counted(1, int(invalid), int(slow and not invalid), now).items():
            counts[name] = counts.get(name, 0) + more
        state = DifficultyState(state.level, state.changed_ms, counts)
        expected = next_level(state, RULES, now)
        wanted = mine.wanted(now)
        assert (mine.level(now) if wanted is None else wanted) == expected
        if wanted is not None:
            mine.moved(wanted, now)
            state = DifficultyState(wanted, now, counts)
        assert len(mine._counts) <= 60
