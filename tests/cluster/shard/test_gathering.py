"""How long a commit waits for more: not at all where little is decided, some milliseconds under load."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.shard.gathering import APART_S, BUSY_PER_S, FULL_PER_S, FURTHER_S, QUIET_PER_S, Gathering


def commits_of(per_s: float, seconds: float = 20.0) -> float:
    """Commits for each decision, when decisions come evenly and a commit takes no time."""
    gathering, decisions, commits, due = Gathering(), 0, 0, float("inf")
    for n in range(int(per_s * seconds)):
        now = n / per_s
        if due <= now:
            gathering.began(due)
            commits, due = commits + 1, float("inf")
        gathering.note(1, now)
        decisions += 1
        due = min(due, now + gathering.wait_s(now))
    return commits / decisions


def test_where_little_is_decided_nobody_waits() -> None:
    gathering = Gathering()
    for n in range(200):
        now = n / (QUIET_PER_S - 1)
        gathering.note(1, now)
        assert gathering.wait_s(now) == 0
        gathering.began(now)


def test_the_first_ones_after_a_rest_do_not_wait() -> None:
    gathering = Gathering()
    for n in range(1_000):
        gathering.note(1, n / 1_000)
    gathering.began(1.0)
    gathering.note(1, 10.0)
    gathering.began(10.0)
    assert gathering.wait_s(10.0) == 0


def test_under_load_decisions_share_commits() -> None:
    assert commits_of(115.0) > 0.45
    assert commits_of(400.0) < 0.2
    assert commits_of(2_000.0) < 0.1


@given(st.lists(st.tuples(st.floats(0, 2, allow_nan=False), st.integers(0, 500), st.booleans()), max_size=60))
def test_nobody_waits_longer_than_two_commits_are_apart(steps: list[tuple[float, int, bool]]) -> None:
    gathering, now = Gathering(), 100.0
    for pause, decisions, begins in steps:
        now += pause
        gathering.note(decisions, now)
        assert 0 <= gathering.wait_s(now) <= APART_S + FURTHER_S
        if begins:
            gathering.began(now)
            assert 0 <= gathering.wait_s(now) <= APART_S + FURTHER_S


def test_from_busy_on_the_whole_time_is_kept() -> None:
    gathering = Gathering()
    gathering.note(int(BUSY_PER_S), 5.0)
    gathering.began(5.0)
    assert gathering.wait_s(5.0) == APART_S
    assert gathering.wait_s(5.0 + 2 * APART_S) == 0


def test_beyond_it_commits_are_further_apart() -> None:
    gathering = Gathering()
    gathering.note(int(FULL_PER_S), 5.0)
    gathering.began(5.0)
    assert gathering.wait_s(5.0) == APART_S + FURTHER_S
