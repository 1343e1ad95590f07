"""Tick numbers: never back, late ones at once, too many late ones skipped."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.tick_clock import TickClock, phase_of


def clock(*, wall_ms: float = 100_000, last_tick: int = -1, monotonic: float = 50.0) -> TickClock:
    return TickClock.start(hz=5, epoch_ms=0, wall_ms=wall_ms, monotonic=monotonic, last_tick=last_tick)


def test_world_time_counts_from_the_worlds_epoch() -> None:
    assert clock().due(50.0) == 500
    assert clock().due(50.21) == 501


def test_a_wall_clock_set_back_does_not_turn_numbers_back() -> None:
    behind = clock(wall_ms=40_000, last_tick=500)
    assert behind.due(50.0) == 499
    assert behind.next_tick(500, 50.21) is None
    assert behind.next_tick(500, 50.41) == (501, 0)


def test_nothing_is_due_before_its_time() -> None:
    assert clock().next_tick(500, 50.1) is None


def test_late_ticks_run_back_to_back_up_to_five_then_numbers_are_skipped() -> None:
    late = clock()
    assert late.next_tick(495, 50.0) == (496, 0)
    assert late.next_tick(490, 50.0) == (496, 5)


def test_a_chunk_from_a_shard_that_is_ahead_pulls_the_clock_forward() -> None:
    ahead = clock()
    ahead.advance_to(600, 50.0)
    assert ahead.due(50.0) == 599
    ahead.advance_to(550, 50.0)
    assert ahead.due(50.0) == 599


def test_a_chunk_that_is_ahead_by_one_sets_no_clock() -> None:
    here = clock()
    here.advance_to(501, 50.0)
    assert here.due(50.0) == 500


def test_shards_tick_one_after_the_other_and_are_apart_by_one_at_most() -> None:
    phases = sorted(phase_of(shard) for shard in range(5))
    assert phase_of(0) == 0
    assert min(b - a for a, b in itertools.pairwise([*phases, 1.0])) > 0.09
    clocks = [TickClock.start(hz=5, epoch_ms=0, wall_ms=7_000, monotonic=0, last_tick=-1, phase=p) for p in phases]
    for step in range(400):
        numbers = [one.due(step / 100) for one in clocks]
        assert max(numbers) == clocks[0].due(step / 100)
        assert max(numbers) - min(numbers) in (0, 1)


def test_a_shard_knows_when_another_comes_to_its_tick() -> None:
    early = TickClock.start(hz=5, epoch_ms=0, wall_ms=100_000, monotonic=50.0, last_tick=-1, phase=0.25)
    assert early.until_there(500, 0.75, 50.06) == pytest.approx(0.09)
    assert early.until_there(500, 0.75, 50.16) == 0
    assert early.until_there(500, 0.0, 50.06) == 0


class Shards:
    """Shards of one machine that tick as ``ShardRuntime`` does and give each other chunks."""

    def __init__(self, shards: int, ahead: list[int]) -> None:
        self.clocks = []
        #: Last tick run or taken over, by shard.
        self.ticks = []
        for shard in range(shards):
            last = 1_000 + ahead[shard % len(ahead)] if ahead else -1
            self.clocks.append(
                TickClock.start(hz=5, epoch_ms=0, wall_ms=200_000, monotonic=0.0, last_tick=last, phase=phase_of(shard))
            )
            self.ticks.append(last)
        #: Where each chunk is, and the numbers that it has had.
        self.owner = [chunk % shards for chunk in range(6)]
        self.numbers: list[list[int]] = [[] for _ in self.owner]

    def run(self, shard: int, now: float) -> None:
        while (due := self.clocks[shard].next_tick(self.ticks[shard], now)) is not None:
            self.ticks[shard] = due[0]
            for chunk, owner in enumerate(self.owner):
                if owner == shard:
                    self.numbers[chunk].append(due[0])

    def give(self, chunk: int, to: int, now: float) -> None:
        tick = self.ticks[self.owner[chunk]]
        self.owner[chunk] = to
        self.clocks[to].advance_to(tick, now)
        self.ticks[to] = max(self.ticks[to], tick)


MOVES = st.lists(st.tuples(st.floats(0, 0.5, allow_nan=False), st.integers(0, 5), st.integers(0, 6)), max_size=150)


@given(st.integers(2, 7), MOVES)
def test_handovers_back_and_forth_do_not_make_numbers_run_ahead(
    shards: int, moves: list[tuple[float, int, int]]
) -> None:
    world, now = Shards(shards, []), 0.0
    for pause, chunk, to in moves:
        now += pause
        for shard in range(shards):
            world.run(shard, now)
        world.give(chunk, to % shards, now)
        wall = math.floor(1_000 + now * 5)
        assert all(wall - 1 <= tick <= wall for tick in world.ticks)
    assert all(one < other for numbers in world.numbers for one, other in itertools.pairwise(numbers))


@given(st.integers(2, 7), st.lists(st.integers(0, 40), min_size=1, max_size=4), MOVES)
def test_nobody_gets_further_ahead_than_the_first_one_was(
    shards: int, ahead: list[int], moves: list[tuple[float, int, int]]
) -> None:
    """A clock that had been set back left a shard ahead: the others follow it, none overtakes."""
    world, now = Shards(shards, ahead), 0.0
    for pause, chunk, to in moves:
        now += pause
        for shard in range(shards):
            world.run(shard, now)
        world.give(chunk, to % shards, now)
        assert max(world.ticks) <= math.floor(1_000 + now * 5) + max(ahead) + 1
    assert all(one < other for numbers in world.numbers for one, other in itertools.pairwise(numbers))


@given(st.integers(0, 10**13), st.integers(-1, 10**9), st.lists(st.floats(0, 20, allow_nan=False), max_size=50))
def test_numbers_only_rise_whatever_the_clocks_do(wall_ms: int, last: int, pauses: list[float]) -> None:
    now = 3.0
    running = TickClock.start(hz=5, epoch_ms=5_000, wall_ms=wall_ms, monotonic=now, last_tick=last)
    for pause in pauses:
        now += pause
        while (due := running.next_tick(last, now)) is not None:
            assert due[0] > last
            last = due[0]
