"""Tick numbers: never back, late ones at once, too many late ones skipped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.tick_clock import TickClock


def clock(*, wall_ms: float = 100_000, last_tick: int = -1, monotonic: float = 50.0) -> TickClock:
    return TickClock.start(hz=5, epoch_ms=0, wall_ms=wall_ms, monotonic=monotonic, last_tick=last_tick)


def test_world_time_counts_from_the_worlds_epoch() -> None:
    assert clock().due(50.0) == 500
    assert clock().due(50.21) == 501


def test_a_wall_clock_set_back_does_not_turn_numbers_back() -> None:
    behind = clock(wall_ms=40_000, last_tick=500)
    assert behind.due(50.0) == 501
    assert behind.next_tick(500, 50.0) == (501, 0)


def test_nothing_is_due_before_its_time() -> None:
    assert clock().next_tick(500, 50.1) is None


def test_late_ticks_run_back_to_back_up_to_five_then_numbers_are_skipped() -> None:
    late = clock()
    assert late.next_tick(495, 50.0) == (496, 0)
    assert late.next_tick(490, 50.0) == (496, 5)


def test_a_chunk_from_a_shard_that_is_ahead_pulls_the_clock_forward() -> None:
    ahead = clock()
    ahead.advance_to(600, 50.0)
    assert ahead.due(50.0) == 600
    ahead.advance_to(550, 50.0)
    assert ahead.due(50.0) == 600


@given(st.integers(0, 10**13), st.integers(-1, 10**9), st.lists(st.floats(0, 20, allow_nan=False), max_size=50))
def test_numbers_only_rise_whatever_the_clocks_do(wall_ms: int, last: int, pauses: list[float]) -> None:
    now = 3.0
    running = TickClock.start(hz=5, epoch_ms=5_000, wall_ms=wall_ms, monotonic=now, last_tick=last)
    for pause in pauses:
        now += pause
        while (due := running.next_tick(last, now)) is not None:
            assert due[0] > last
            last = due[0]
