"""How many shards there should be: decided on simulated loads, over hours of simulated time."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from cluster.scale.planner import REST_S, YOUNG_S, ScalePlanner, ScaleRules, ShardUse

RULES = ScaleRules(least=2, most=8, cpu=0.6, shrink_after_s=300.0, tick_ms=200.0)
PASS_S = 2.0


def uses(shards: int, load: float, *, tick_ms: float = 20.0, age_s: float = 100.0) -> list[ShardUse]:
    return [ShardUse(load / shards, tick_ms, age_s)] * shards


class Simulation:
    """Shards that share a load evenly some seconds after their number has changed."""

    def __init__(self, rules: ScaleRules = RULES, shards: int = 2) -> None:
        self.planner = ScalePlanner(rules)
        self.shards = shards
        self.now = 0.0
        self.changes: list[tuple[float, int]] = []
        self._young_until = 0.0

    def run(self, seconds: float, load: Callable[[float], float], *, tick_ms: float = 20.0) -> None:
        """``load`` gives the cores that all shards together would use; each has one at most."""
        end = self.now + seconds
        while self.now < end:
            self.now += PASS_S
            each = min(1.0, load(self.now) / self.shards)
            age_s = 100.0 if self.now >= self._young_until else 1.0
            wanted = self.planner.wanted(self.shards, [ShardUse(each, tick_ms, age_s)] * self.shards, self.now)
            if wanted != self.shards:
                self.changes.append((self.now, wanted))
                self.shards, self._young_until = wanted, self.now + YOUNG_S


def test_a_load_that_rises_and_falls_is_followed_quickly_up_and_slowly_down() -> None:
    world = Simulation()
    world.run(600, lambda now: min(4.0, now / 60))
    assert world.shards == 8
    grown = len(world.changes)
    assert all(
        after > before
        for before, after in zip([2, *[n for _, n in world.changes]], [n for _, n in world.changes], strict=False)
    )
    world.run(3_600, lambda _: 0.2)
    assert world.shards == 2
    falls = world.changes[grown:]
    assert [number for _, number in falls] == [7, 6, 5, 4, 3, 2], "one at a time"
    assert all(later - earlier >= 300 for (earlier, _), (later, _) in itertools.pairwise(falls))


def test_a_sudden_load_brings_enough_in_bounded_steps() -> None:
    world = Simulation()
    world.run(20, lambda _: 4.0)
    assert world.shards == 3, "half as many again at most"
    world.run(300, lambda _: 4.0)
    assert world.shards == 8
    assert [
        later - earlier >= REST_S for (earlier, _), (later, _) in zip(world.changes, world.changes[1:], strict=False)
    ]


@pytest.mark.parametrize("mean", [0.5, 0.9, 1.25, 1.7, 3.0])
def test_noise_around_any_load_does_not_swing(mean: float) -> None:
    rng = random.Random(7)
    world = Simulation()
    world.run(600, lambda _: mean * rng.uniform(0.8, 1.2))
    settled = len(world.changes)
    world.run(4 * 3_600, lambda _: mean * rng.uniform(0.8, 1.2))
    later = [number for _, number in world.changes[settled:]]
    assert len(later) <= 2, world.changes
    assert later == sorted(later, reverse=True) or later == sorted(later), "never there and back"


def test_a_load_that_comes_and_goes_with_the_minute_costs_few_changes() -> None:
    world = Simulation()
    world.run(3_600, lambda now: 2.4 if math.sin(now / 10) > 0 else 0.2)
    assert len(world.changes) <= 6, world.changes


def test_a_moment_is_no_reason() -> None:
    world = Simulation()
    world.run(600, lambda now: 2.0 if now % 60 < 6 else 0.3)
    assert world.changes == []


def test_the_bounds_hold_whatever_the_load() -> None:
    world = Simulation()
    world.run(3_600, lambda _: 100.0)
    assert world.shards == 8
    assert Simulation(shards=1).planner.wanted(1, [], 0.0) == 2, "at least so many, whoever answers"
    above = Simulation(shards=10)
    above.run(3_600, lambda _: 100.0)
    assert above.shards == 8
    assert all(number >= 8 for _, number in above.changes)


def test_a_fixed_number_stays_whatever_the_settings_and_the_load() -> None:
    for most in (0, 2):
        world = Simulation(ScaleRules(2, most, 0.6, 300.0, 200.0), shards=5)
        world.run(3_600, lambda now: now / 100)
        assert world.shards == 5


def test_slow_ticks_bring_more_only_where_the_processor_is_what_they_wait_for() -> None:
    world = Simulation()
    world.run(60, lambda _: 0.8, tick_ms=150.0)
    assert world.shards == 3
    waits_for_redis = Simulation()
    waits_for_redis.run(3_600, lambda _: 0.1, tick_ms=150.0)
    assert waits_for_redis.shards == 2


def test_none_goes_while_ticks_are_slow() -> None:
    world = Simulation(shards=4)
    world.run(3_600, lambda _: 0.2, tick_ms=150.0)
    assert world.shards == 4


def test_nothing_is_decided_while_one_is_silent_or_young() -> None:
    planner = ScalePlanner(RULES)
    for step in range(100):
        assert planner.wanted(3, uses(3, 3.0)[:2], step * PASS_S) == 3
        assert planner.wanted(3, uses(3, 3.0, age_s=1.0), step * PASS_S) == 3


def test_after_an_operators_change_the_planner_rests_too() -> None:
    planner = ScalePlanner(RULES)
    now = 0.0
    while now < 30:
        now += PASS_S
        assert planner.wanted(2, uses(2, 0.4), now) == 2
    changed = now
    while now < changed + REST_S:
        assert planner.wanted(3, uses(3, 3.0), now) == 3
        now += PASS_S
    assert planner.wanted(3, uses(3, 3.0), now) == 4
