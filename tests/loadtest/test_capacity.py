"""The search for a capacity, on made-up servers: sharp, noisy, flat, hopeless, boundless."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from loadtest.capacity import NEAR_PART, RUNS_MOST, Capacity, CapacitySearch, Measured

Server = Callable[[int], bool]


def searched(server: Server, first: int = 50, most: int = 20_000) -> tuple[CapacitySearch, Capacity]:
    search = CapacitySearch(first, most)
    while (agents := search.next_agents()) is not None:
        held = server(agents)
        search.take(Measured(agents, held, "" if held else f"rtt_p99_ms was {agents / 4:g}, not <100"))
        assert len(search.measured) <= RUNS_MOST
    return search, search.answer()


@pytest.mark.parametrize("capacity", [1, 7, 49, 50, 51, 99, 100, 403, 1_024, 19_999])
@pytest.mark.parametrize("first", [1, 50, 5_000])
def test_a_sharp_limit_is_found_from_wherever_it_begins(capacity: int, first: int) -> None:
    search, answer = searched(lambda agents: agents <= capacity, first)
    assert answer.agents <= capacity
    assert answer.fails_at is not None
    assert answer.fails_at > capacity
    assert answer.fails_at - answer.agents <= max(1, answer.fails_at * NEAR_PART)
    tried = [one.agents for one in search.measured]
    assert tried.count(answer.agents) == 2, "it held twice"
    assert tried.count(answer.fails_at) == 2, "it failed twice"


def test_it_doubles_then_halves_the_distance() -> None:
    search, answer = searched(lambda agents: agents <= 410)
    tried = [one.agents for one in search.measured]
    assert tried[:3] == [50, 100, 200]
    assert tried[3:6] == [400, 800, 800]
    assert tried[6:8] == [600, 600]
    assert answer == Capacity(
        400,
        412,
        "With 400 agents the condition held in 2 runs. With 412 it failed in 2 runs: rtt_p99_ms was 103, not <100.",
    )


def test_it_costs_few_runs() -> None:
    search, _ = searched(lambda agents: agents <= 10_000, first=50)
    assert len(search.measured) <= 24


def test_a_server_that_never_fails_is_tried_up_to_the_most() -> None:
    search, answer = searched(lambda agents: True, first=300, most=1_000)
    assert [one.agents for one in search.measured] == [300, 600, 1_000, 1_000]
    assert (answer.agents, answer.fails_at) == (1_000, None)
    assert "nothing beyond was tried" in answer.reason


def test_a_server_that_carries_nobody_says_so() -> None:
    search, answer = searched(lambda agents: False)
    assert (answer.agents, answer.fails_at) == (0, 1)
    assert answer.reason.startswith("There is no number of agents")
    assert [one.agents for one in search.measured][:4] == [50, 50, 25, 25]


def test_one_bad_run_does_not_decide() -> None:
    outcomes = {100: [False, True, True]}

    def server(agents: int) -> bool:
        queue = outcomes.get(agents)
        return queue.pop(0) if queue else agents <= 400

    _, answer = searched(server)
    assert 380 <= answer.agents <= 400


def test_one_good_run_does_not_decide_either() -> None:
    first_time: set[int] = set()

    def server(agents: int) -> bool:
        if 400 < agents <= 450 and agents not in first_time:
            first_time.add(agents)
            return True
        return agents <= 400

    search, answer = searched(server)
    assert answer.agents <= 400
    assert [one.agents for one in search.measured if one.held][-1] == answer.agents


@pytest.mark.parametrize("noise", [0.05, 0.15, 0.3])
def test_noise_moves_the_answer_by_no_more_than_itself(noise: float) -> None:
    """A server whose round trip crosses 100 ms at 400 agents, measured with a relative error."""
    answers = []
    for seed in range(200):
        rng = random.Random(seed)

        def server(agents: int, rng: random.Random = rng) -> bool:
            return 100 * (agents / 400) ** 2 * rng.lognormvariate(0, noise) < 100

        search, answer = searched(server)
        answers.append(answer.agents)
        assert len(search.measured) <= RUNS_MOST
    answers.sort()
    assert abs(answers[100] - 400) <= 400 * (noise / 2 + NEAR_PART)
    assert answers[10] >= 400 * (1 - 1.6 * noise / 2 - 2 * NEAR_PART)
    assert answers[-10] <= 400 * (1 + 1.6 * noise / 2 + 2 * NEAR_PART)


def test_pure_noise_ends_too() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        search, _ = searched(lambda agents, rng=rng: rng.random() < 0.5)  # type: ignore[misc]
        assert len(search.measured) <= RUNS_MOST


def test_what_is_known_when_it_is_stopped() -> None:
    search = CapacitySearch(50, 1_000)
    assert search.answer("It was interrupted") == Capacity(0, None, "It was interrupted.")
    search.take(Measured(50, True))
    answer = search.answer("It was interrupted")
    assert (answer.agents, answer.fails_at) == (50, None)
    assert answer.reason.endswith("nothing beyond was tried. It was interrupted.")
