"""What a command and a message cost, from runs whose costs are known."""

from __future__ import annotations

import pytest

from tests.bench.cost.fit import Point, fit


def used(commands: float, messages: float) -> Point:
    return Point(commands, messages, 0.05 + commands * 600e-6 + messages * 30e-6)


def test_the_costs_are_found_again() -> None:
    cost = fit([used(0, 0), used(140, 1_000), used(40, 990), used(280, 2_000), used(80, 1_900)])
    assert cost is not None
    assert (cost.idle_cores, cost.command_us, cost.message_us) == pytest.approx((0.05, 600, 30))
    assert cost.worst_error == pytest.approx(0)


def test_what_does_not_fit_is_told() -> None:
    cost = fit([used(0, 0), used(140, 1_000), used(40, 990), Point(280, 2_000, 0.5)])
    assert cost is not None
    assert cost.worst_error > 0.01


@pytest.mark.parametrize("points", [[], [used(0, 0), used(140, 1_000)], [used(0, 0), *[used(140, 1_000)] * 4]])
def test_runs_that_can_not_tell_the_two_apart_give_nothing(points: list[Point]) -> None:
    assert fit(points) is None
