"""Costs that commands share, from runs whose costs are known."""

from __future__ import annotations

import math

import pytest

from tests.bench.cost.fit import Point
from tests.bench.cost.sharing import fit_shared

LANES = 2
LOADS = [(0, 0), (30, 1_000), (80, 900), (60, 2_000), (150, 1_900), (120, 4_000), (280, 3_900)]


def used(commands: float, messages: float) -> Point:
    shared = LANES * 900e-6 * math.sqrt(commands / LANES)
    return Point(commands, messages, 0.05 + shared + commands * 300e-6 + messages * 20e-6)


def test_the_costs_are_found_again() -> None:
    cost = fit_shared([used(*load) for load in LOADS], LANES)
    found = (cost.idle_cores, cost.shared_us, cost.command_us, cost.message_us)
    assert found == pytest.approx((0.05, 900, 300, 20), rel=1e-3)
    assert cost.shared_upto == 140
    for commands, messages in LOADS:
        cores = cost.idle_cores + cost.played_cores(commands, messages, LANES)
        assert cores == pytest.approx(used(commands, messages).cores, rel=1e-3)


def test_what_a_message_is_known_to_cost_is_not_fitted_away() -> None:
    alike = [Point(0, 0, 0.05), *(Point(n, n * 10, 0.05 + n * 500e-6) for n in (50, 100, 200))]
    cost = fit_shared(alike, 1, least_message_us=30)
    assert cost.message_us >= 30
    assert cost.idle_cores + cost.played_cores(150, 1_500, 1) == pytest.approx(0.125, rel=0.01)


def test_nothing_costs_less_than_nothing() -> None:
    falling = [Point(0, 0, 0.05), Point(100, 0, 0.04), Point(0, 1_000, 0.06), Point(100, 1_000, 0.05)]
    cost = fit_shared(falling, 1)
    assert min(cost.idle_cores, cost.shared_us, cost.command_us, cost.message_us) == 0
    with pytest.raises(ValueError, match="nothing"):
        fit_shared([], 1)
