"""Who does how much."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.plan import Plan, shares, tasks_for

PLAN = Plan("http://x", 10, 5, 60, "wander", 1, "r", api_key="dcw_secret")


@given(st.integers(0, 5_000), st.integers(0, 5_000), st.integers(1, 64))
def test_shares_cover_the_plan_once(agents: int, spectators: int, tasks: int) -> None:
    found = shares(replace(PLAN, agents=agents, spectators=spectators), tasks)
    numbers = [n for share in found for n in range(share.first_agent, share.first_agent + share.agents)]
    assert numbers == list(range(agents))
    assert sum(share.spectators for share in found) == spectators
    assert max(share.connections for share in found) - min(share.connections for share in found) <= 2
    assert [(share.task, share.tasks) for share in found] == [(task, tasks) for task in range(tasks)]


@pytest.mark.parametrize(
    ("connections", "cpus", "tasks"),
    [(1, 2, 1), (400, 8, 1), (401, 8, 2), (1500, 2, 2), (10_000, 64, 25), (50, 0.5, 1)],
)
def test_generators_by_connections_and_processors(connections: int, cpus: float, tasks: int) -> None:
    assert tasks_for(connections, cpus) == tasks


def test_the_key_is_not_shown() -> None:
    assert "dcw_secret" not in repr(PLAN)


def test_the_usual_ramp() -> None:
    assert Plan.usual_ramp_s(1) == 2.0
    assert Plan.usual_ramp_s(1500) == 30.0
