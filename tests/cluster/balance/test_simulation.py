"""The planner in simulated worlds: it converges, within its bounds, and then leaves things alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.balance.planner import REST_S, Held
from tests.cluster.balance.simulation import Simulation

Array: TypeAlias = NDArray[np.float64]
MINUTE = 60.0
#: Seconds in which a world of these must have come to rest.
CONVERGED_S = 12 * MINUTE


def steady(costs: Array) -> Callable[[float], Array]:
    return lambda _: costs


def random_costs(chunks: int, mean_us: float, seed: int = 3) -> Array:
    return np.random.default_rng(seed).lognormal(0.0, 1.0, chunks) * (mean_us / float(np.exp(0.5)))


def skewed_costs(chunks: int, mean_us: float, seed: int = 3) -> Array:
    """The costliest of ten thousand has half of what a hundredth of all has."""
    costs = np.arange(1, chunks + 1) ** -0.5
    return np.random.default_rng(seed).permutation(costs / costs.mean() * mean_us)


def bounded(found: Simulation) -> None:
    """Whatever the world does, these hold."""
    assert found.most_in_a_minute() <= found.rules.moves_per_minute
    assert found.soonest_again_s() >= REST_S


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def print_it(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end="")

    return print_it


@pytest.mark.parametrize("costs_of", [random_costs, skewed_costs])
@pytest.mark.parametrize(("shards", "chunks"), [(2, 40), (8, 200), (100, 10_000)])
def test_a_steady_world_becomes_even_and_then_nothing_moves(
    costs_of: Callable[[int, float], Array], shards: int, chunks: int, say: Callable[[str], None]
) -> None:
    costs = costs_of(chunks, 400_000 * shards / chunks)
    found = Simulation(shards, chunks, steady(costs)).run(CONVERGED_S)
    moved = len(found.records)
    found.run(8 * MINUTE)
    say(found.told_in_a_line(costs_of.__name__))
    assert all(value <= 1.2 for at, value in found.course if at > CONVERGED_S)
    assert len(found.records) - moved <= shards * 0.02
    bounded(found)


def test_an_idle_world_is_left_alone() -> None:
    found = Simulation(4, 40, steady(skewed_costs(40, 200))).run(10 * MINUTE)
    assert found.records == []


@pytest.mark.parametrize("stay_s", [20.0, 120.0])
def test_a_hot_spot_that_moves_on_is_not_chased_round(stay_s: float, say: Callable[[str], None]) -> None:
    """A crowd that costs half a core goes from chunk to chunk."""
    shards, chunks = 8, 160
    cold = random_costs(chunks, 15_000)

    def costs(now: float) -> Array:
        found = cold.copy()
        found[int(now / stay_s) % chunks] += 500_000
        return found

    found = Simulation(shards, chunks, costs).run(60 * MINUTE)
    say(found.told_in_a_line(f"a hot spot that stays {stay_s:.0f} s"))
    bounded(found)
    assert len(found.records) / chunks <= 2.5


def test_a_chunk_hotter_than_a_shard_is_left_alone_and_the_others_are_even(say: Callable[[str], None]) -> None:
    shards, chunks, hot = 8, 200, 17
    costs = random_costs(chunks, 400_000 * shards / chunks)
    costs[hot] = 1_500_000
    found = Simulation(shards, chunks, steady(costs)).run(CONVERGED_S)
    moved = len(found.records)
    found.run(20 * MINUTE)
    say(found.told_in_a_line("a chunk hotter than a shard"))
    carried = found.carried()
    beside = carried[found.owners[hot]] - costs[hot]
    others = np.delete(carried, found.owners[hot])
    assert beside < 0.1 * costs[hot]
    assert others.max() / others.mean() <= 1.2
    assert sum(record.chunk_id == found.names[hot] for record in found.records) <= 1
    assert len(found.records) - moved <= 1
    bounded(found)


def test_a_new_shard_is_filled_and_a_restarted_coordinator_goes_on_within_the_bounds() -> None:
    costs = random_costs(120, 20_000)
    found = Simulation(3, 120, steady(costs), restarts=tuple(np.arange(30.0, 600.0, 20.0)))
    found.owners[found.owners == 2] = 0  # as if shard 2 had just been added
    found.run(CONVERGED_S)
    assert found.course[-1][1] <= 1.2
    bounded(found)


def test_what_is_pinned_or_closed_is_left_out() -> None:
    costs = random_costs(80, 20_000)
    found = Simulation(4, 80, steady(costs), held=Held(shards={1}, closed={3}))
    pinned = {found.names[number] for number in range(0, 80, 5)}
    found.held = Held(chunks=pinned, shards={1}, closed={3})
    found.owners[found.owners == 2] = 0
    found.run(CONVERGED_S)
    assert found.records
    assert not pinned & {record.chunk_id for record in found.records}
    assert {record.to_shard for record in found.records} == {2}
    assert {record.from_shard for record in found.records} == {0}


def test_a_shard_that_is_to_be_empty_is_emptied_whatever_holds_its_chunks() -> None:
    costs = random_costs(80, 20_000)
    found = Simulation(4, 80, steady(costs))
    found.held = Held(chunks=set(found.names), leaving={3}, closed={2})
    found.run(2 * MINUTE)
    assert 3 not in found.owners
    assert {record.to_shard for record in found.records} <= {0, 1}
    assert {record.why for record in found.records} == {"leaving"}


def test_chunks_between_which_agents_cross_all_the_time_come_together(say: Callable[[str], None]) -> None:
    """Twenty groups of four; ten crossings a second within each, none between."""
    shards, chunks = 4, 80
    traffic = {(first + one, first + one + 1): 10.0 for first in range(0, chunks, 4) for one in range(3)}
    found = Simulation(shards, chunks, steady(np.full(chunks, 10_000.0)), traffic=traffic)

    def remote() -> int:
        return sum(found.owners[one] != found.owners[other] for one, other in traffic)

    before, carried_before = remote(), found.carried().sum()
    found.run(30 * MINUTE)
    say(found.told_in_a_line("traffic") + f"; ways between shards {before} -> {remote()} of {len(traffic)}")
    assert remote() <= before * 0.4
    assert found.carried().sum() < carried_before
    assert found.course[-1][1] <= 1.2
    bounded(found)


@pytest.mark.slow
@pytest.mark.parametrize("costs_of", [random_costs, skewed_costs])
def test_an_hour_of_a_large_world(costs_of: Callable[[int, float], Array], say: Callable[[str], None]) -> None:
    """Its chunks get busier and quieter, each at its own pace, over some ten minutes."""
    shards, chunks = 100, 10_000
    base = costs_of(chunks, 400_000 * shards / chunks)
    phase = np.random.default_rng(5).uniform(0, 2 * np.pi, chunks)
    found = Simulation(shards, chunks, lambda now: base * (1 + 0.5 * np.sin(phase + now / 100)))
    found.run(60 * MINUTE)
    say(found.told_in_a_line(f"an hour, {costs_of.__name__}"))
    course = sorted(value for at, value in found.course if at > CONVERGED_S)
    # What gets busier is seen only when it has been for a while.
    assert course[len(course) // 2] <= 1.2
    assert course[-1] <= 1.3
    bounded(found)
