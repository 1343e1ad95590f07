"""Runs with something and without it beside each other: what it costs each role.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from tests.bench.cost.processes import ROLES

__all__ = ["ALL", "Difference", "compare", "shares"]

ALL = "all"


class Played(Protocol):
    """What is compared of a run: cores by role, and accepted commands a second."""

    @property
    def cores(self) -> dict[str, float]: ...

    @property
    def commands_per_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """Cores of one role, the median of all runs, at as many commands a second."""

    role: str
    without: float
    beside: float

    @property
    def cores(self) -> float:
        """What it costs."""
        return self.beside - self.without


def compare(without: Sequence[Played], beside: Sequence[Played]) -> list[Difference]:
    """Return the difference of each role, and of all together under ``ALL``.

    Runs of the same plan have nearly as many commands a second; the little that they differ is reckoned out, as if
    every core were used by commands.

    Raises:
        ValueError: nothing was played in one of the runs.
    """
    runs = [*without, *beside]
    if not without or not beside or not all(run.commands_per_s > 0 for run in runs):
        raise ValueError("nothing was played in one of the runs")
    commands = sum(run.commands_per_s for run in runs) / len(runs)
    found = [Difference(role, *(_median(kind, role, commands) for kind in (without, beside))) for role in ROLES]
    return [*found, Difference(ALL, sum(one.without for one in found), sum(one.beside for one in found))]


def shares(without: Sequence[Played], beside: Sequence[Played]) -> list[float]:
    """Return for each pair of runs which share of all that the world with it uses is its price."""
    found = []
    for pair in zip(without, beside, strict=True):
        whole = compare(*([one] for one in pair))[-1]
        found.append(whole.cores / whole.beside)
    return found


def _median(runs: Sequence[Played], role: str, commands: float) -> float:
    return median(run.cores[role] * commands / run.commands_per_s for run in runs)
