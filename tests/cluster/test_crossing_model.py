"""Every interleaving of the crossing between shards, with up to three disturbances at every point of it.

``crossing_model`` says which code each step stands for.  What must hold in every state: an agent is in one place by
the journal, no cell has two, no command has two results.  Where nothing goes on any more: each command has its result,
nobody waits in an inbox, no cell stays reserved, and memory agrees with the journal.
"""

from __future__ import annotations

import time

import pytest

from tests.cluster.crossing_explorer import Explorer, Found, Scenario
from tests.cluster.crossing_model import MUTATIONS, Route
from tests.cluster.crossing_state import State

DISTURBANCES = 3

#: Mutations that do no harm to an agent alone.
TAKES_TWO = ("reserves a taken cell", "anybody's reservation counts")

SCENARIOS = {
    # Each passes through the cell on which the other arrives.
    "opposite ways": Scenario((Route(0, 1, 1, 0), Route(1, 0, 0, 1)), shards=(1, 0), cells=(1, 0)),
    # From chunks of two shards to one cell of a third.
    "one cell": Scenario((Route(0, 1, 0), Route(2, 1, 0)), shards=(2, 1, 0), cells=(0,)),
    # From one chunk, so in one commit: one reservation that is lost takes both back.
    "two cells": Scenario((Route(0, 1, 0), Route(0, 1, 1)), shards=(0, 1), cells=(1, 0)),
}
ALONE = Scenario((Route(0, 1, 0),), shards=(0, 1), cells=(0,))


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_interleaving_keeps_agents_cells_and_results(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    explored = Explorer(SCENARIOS[name]).run(DISTURBANCES)
    with capsys.disabled():
        took_s = time.perf_counter() - began
        print(f"\n{name}: {explored.states} states, {explored.steps} steps, {explored.ends} ends, {took_s:.1f} s")
    assert explored.ends >= 2
    assert explored.states > 10_000


def test_an_agent_alone_with_any_number_of_disturbances() -> None:
    few, many = (Explorer(ALONE).run(disturbances) for disturbances in (20, 40))
    assert few == many  # there are no states beyond: the exploration is complete


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_left_out_is_found_out(mutation: str) -> None:
    scenario = SCENARIOS["one cell"] if mutation in TAKES_TWO else ALONE
    explorer = Explorer(scenario, mutations=[mutation])
    with pytest.raises(Found) as found:
        explorer.run(DISTURBANCES)
    print(f"{mutation}: {found.value}")
    assert found.value.way


@pytest.mark.parametrize("name", SCENARIOS)
def test_leaving_out_half_of_what_differs_by_names_leaves_out_nothing_else(name: str) -> None:
    half, whole = Explorer(SCENARIOS[name]), Explorer(SCENARIOS[name], symmetric=False)
    half.run(1)
    whole.run(1)

    def both(state: State) -> set[State]:
        return {state, half.swap(state)}

    assert set().union(*(both(state) for state in half.states)) == set(whole.states)
