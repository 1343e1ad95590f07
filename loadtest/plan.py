"""The plan of a load test, and how it is split over generators.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

__all__ = ["Plan", "Scenario", "Share", "shares", "tasks_for"]

Scenario: TypeAlias = Literal["wander", "crowd", "cross", "harvest", "reconnect", "slow-reader"]

#: What one generator drives well within one processor, see docs/load-testing.md.
CONNECTIONS_PER_TASK: Final = 400

#: How many join a second, when no ramp is given.
JOINS_PER_S: Final = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """A load test."""

    #: The server.
    base: str
    agents: int
    spectators: int
    #: How long is measured, after everybody has joined.
    duration_s: int
    scenario: Scenario
    #: The seed of all decisions; agents' names do not depend on it.
    seed: int
    #: What keeps this run's names apart from all others'.
    run_id: str
    #: Over what time they join.
    ramp_s: float = 10.0
    #: If not 0, so many join at a time instead, each as soon as another is in.
    side_by_side: int = 0
    #: Mean pause of an agent between two commands.
    think_s: float = 1.0
    #: How long to wait for commands that still run at the end.
    drain_s: float = 30.0
    #: Used by all; None: each generator makes an account of its own.
    api_key: str | None = field(default=None, repr=False)

    @staticmethod
    def usual_ramp_s(connections: int) -> float:
        """Return the ramp for so many connections when none is asked for, in seconds."""
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
    """Return how many generators the connections need: at least 1, at most one a processor."""
    wanted = -(-connections // CONNECTIONS_PER_TASK)
    return max(1, min(wanted, int(cpus)))
