"""Which part is full first."""

from __future__ import annotations

from operations.sizing.limits import SINGLE, full, limits
from operations.sizing.model import Demand, estimate
from tests.operations.sizing.makers import coefficients


def test_each_limit_is_the_last_number_that_is_served() -> None:
    known = coefficients()
    found = limits(Demand(1_000), known)
    assert [limit.agents for limit in found] == sorted(limit.agents for limit in found)
    assert {limit.part for limit in found} <= set(SINGLE)
    for limit in found:
        below, above = (estimate(Demand(limit.agents + more), known).parts[limit.part].fullness for more in (0, 1))
        assert below <= 1 < above


def test_one_valkey_is_full_first_and_partitions_take_that_limit_away() -> None:
    known = coefficients()
    first = limits(Demand(1_000), known)[0]
    assert first.part == "valkey"
    assert "valkey" not in {limit.part for limit in limits(Demand(1_000, partitioned=True), known)}
    assert [full(estimate(Demand(agents), known)) for agents in (first.agents, first.agents + 1)] == [[], ["valkey"]]
    assert full(estimate(Demand(first.agents * 2, partitioned=True), known)) == []


def test_spectators_grow_with_the_agents() -> None:
    known = coefficients()
    alone, watched = limits(Demand(100), known)[0].agents, limits(Demand(100, 1_000), known)[0].agents
    assert watched < alone
