"""What a world takes: against what was measured, and how it grows."""

from __future__ import annotations

import pytest

from operations.sizing.coefficients import Coefficients
from operations.sizing.model import Demand, copies_per_s, estimate, rates_of
from tests.operations.sizing.makers import coefficients


@pytest.fixture
def known() -> Coefficients:
    return coefficients()


def test_the_measured_world_costs_what_was_measured(known: Coefficients) -> None:
    found = estimate(Demand(100), known, gateways=1, shards=2)
    # 100 agents, 0.5 commands and 5 deltas a second each
    assert found.parts["gateways"].cores == pytest.approx(0.02 + (50 * 400 + 500 * 20) / 1e6)
    assert found.parts["shards"].cores == pytest.approx(0.04 + (50 * 300 + 500 * 10) / 1e6)
    assert found.parts["valkey"].cores == pytest.approx(0.01 + (50 * 100 + 500 * 4) / 1e6)
    assert found.clients_bytes == 500 * 4_000
    assert found.valkey_out_bytes == 5 * 5 * 4_000 + 50 * (3 + 1.2) * 400


def test_what_does_not_depend_on_size_is_not_lost_in_a_small_world(known: Coefficients) -> None:
    found = estimate(Demand(1), known)
    assert found.rates.chunks == 1
    assert {name: part.processes for name, part in found.parts.items()} == dict.fromkeys(found.parts, 1)
    assert found.cores >= sum(cost.idle_cores for cost in known.roles.values()) - 0.03  # one shard less


def test_gateways_and_shards_come_with_agents_and_none_is_overloaded(known: Coefficients) -> None:
    before = estimate(Demand(1_000), known)
    for agents in (10_000, 100_000, 1_000_000):
        found = estimate(Demand(agents), known)
        for part in ("gateways", "shards"):
            assert found.parts[part].processes > 3 * before.parts[part].processes
            assert 0.7 < found.parts[part].fullness <= 1
        assert found.parts["valkey"].processes == 1
        before = found


def test_a_delta_goes_to_each_gateway_with_a_reader_and_never_to_more_than_there_are(known: Coefficients) -> None:
    demand = Demand(2_000)
    rates = rates_of(demand, known)
    assert copies_per_s(demand, rates, 1) == pytest.approx(rates.deltas)
    few, many = copies_per_s(demand, rates, 4), copies_per_s(demand, rates, 10_000)
    assert 3.9 * rates.deltas < few < 4 * rates.deltas  # 20 readers of a chunk on 4 gateways
    assert 19 * rates.deltas < many < 20 * rates.deltas  # never more than readers


def test_spectators_cost_gateways_and_hardly_anything_else(known: Coefficients) -> None:
    alone, watched = estimate(Demand(1_000), known), estimate(Demand(1_000, 10_000), known)
    assert watched.parts["shards"] == alone.parts["shards"]
    assert watched.parts["gateways"].processes > 1.5 * alone.parts["gateways"].processes
    assert watched.parts["valkey"].cores < alone.parts["valkey"].cores + 0.05
    assert watched.clients_bytes == 11 * alone.clients_bytes


def test_partitions_need_as_many_nodes_as_keep_each_within_its_core(known: Coefficients) -> None:
    one, many = estimate(Demand(200_000), known), estimate(Demand(200_000, partitioned=True), known)
    assert one.parts["valkey"].fullness > 1 >= many.parts["valkey"].fullness
    assert many.parts["valkey"].cores > one.parts["valkey"].cores  # they cost more, over all nodes
    assert many.parts["archiver"].processes == many.parts["valkey"].processes > 3


def test_a_crossing_between_partitions_costs_both_nodes(known: Coefficients) -> None:
    still = coefficients(crossings_per_command=0.0)
    demand = Demand(100_000, partitioned=True)
    more = estimate(demand, known).parts["valkey"].cores - estimate(demand, still).parts["valkey"].cores
    crossings = 50_000 * known.crossings_per_command
    assert more >= crossings * (120 + 90 - 150 / 2) / 1e6 * 0.99


@pytest.mark.parametrize("field", ["commands_per_agent_s", "agents_per_chunk"])
def test_more_of_either_is_said_and_not_guessed(known: Coefficients, field: str) -> None:
    usual, other = estimate(Demand(1_000), known), estimate(Demand(1_000, **{field: 2.0}), known)  # type: ignore[arg-type]
    assert other.parts["valkey"].cores > usual.parts["valkey"].cores
