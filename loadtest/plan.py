"""What is to be done, and who does how much of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

__all__ = ["SCENARIOS", "Plan", "Scenario", "Share", "shares", "tasks_for"]

Scenario: TypeAlias = Literal["wander", "crowd", "cross", "harvest", "reconnect", "slow-reader"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

CONNECTIONS_PER_TASK = 400
"""What one generator drives well within one processor, see docs/load-testing.md."""

JOINS_PER_S = 50
"""Of the ramp, when none is given."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A load test.

    Attributes:
        base: The server.
        duration_s: How long is measured, after everybody has joined.
        ramp_s: Over what time they join.
        side_by_side: If not 0, so many join at a time instead, each as soon as another is in.
        think_s: Mean pause of an agent between two commands.
        seed: Of all decisions; agents' names do not depend on it.
        run_id: What keeps this run's names apart from all others'.
        api_key: Used by all; None: each generator makes an account of its own.
        drain_s: How long to wait for commands that still run at the end.
    """

    base: str
    agents: int
    spectators: int
    duration_s: int
    scenario: Scenario
    seed: int
    run_id: str
    ramp_s: float = 10.0
    side_by_side: int = 0
    think_s: float = 1.0
    drain_s: float = 30.0
    api_key: str | None = field(default=None, repr=False)

    @staticmethod
    def usual_ramp_s(connections: int) -> float:
        """The ramp for so many connections when none is asked for, in seconds."""
        return max(2.0, connections / JOINS_PER_S)


@dataclass(frozen=True, slots=True)
class Share:
    """One generator's part: agents number ``first_agent`` and following, and so many spectators."""

    task: int
    tasks: int
    first_agent: int
    agents: int
    spectators: int

    @property
    def connections(self) -> int:
        """Agents and spectators."""
        return self.agents + self.spectators


def shares(plan: Plan, tasks: int) -> list[Share]:
    """Split the plan over ``tasks`` generators, as evenly as it goes."""
    found = []
    for task in range(tasks):
        first, end = plan.agents * task // tasks, plan.agents * (task + 1) // tasks
        spectators = plan.spectators * (task + 1) // tasks - plan.spectators * task // tasks
        found.append(Share(task, tasks, first, end - first, spectators))
    return found


def tasks_for(connections: int, cpus: float) -> int:
    """How many generators so many connections want, with so many processors: at least 1, at most one a processor."""
    wanted = -(-connections // CONNECTIONS_PER_TASK)
    return max(1, min(wanted, int(cpus)))
