"""The search for the largest number of agents for which a condition holds.  Pure: driven by what is measured.

Steps up by doubling until the condition fails, then halves the distance between what held and what did not.  One
measurement may err, so a number counts as failed only after two failures, and the answer has to hold twice:

| held / failed so far | the number |
| --- | --- |
| 1 / 0 | holds, as long as nothing else depends on it |
| 0 / 1, 1 / 1 | is measured again |
| more held than failed | holds |
| more failed than held, at least 2 | fails |
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

__all__ = ["Capacity", "CapacitySearch", "Measured"]

#: How near to each other the number that holds and the one that fails are to be, as a part of the latter.
NEAR_PART: Final = 0.05
#: How often is measured at most, whatever the noise.
RUNS_MOST: Final = 40
TWICE: Final = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: whether the condition held with so many agents, and if not, why."""

    agents: int
    held: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The answer: it held with ``agents`` (0: with none) and failed with ``fails_at`` (None: with no number tried)."""

    agents: int
    fails_at: int | None
    reason: str


class CapacitySearch:
    """Ask for ``next_agents``, measure, hand the outcome to ``take``, until there is no next.

    Args:
        first: The number to begin with.
        most: The largest that may be tried.
    """

    def __init__(self, first: int, most: int, *, near_part: float = NEAR_PART, runs_most: int = RUNS_MOST) -> None:
        self._first, self._most = max(1, min(first, most)), most
        self._near_part, self._runs_most = near_part, runs_most
        #: What was measured, in its order.
        self.measured: list[Measured] = []
        self._held: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()

    def take(self, measured: Measured) -> None:
        """Take the outcome of a measurement."""
        self.measured.append(measured)
        (self._held if measured.held else self._failed)[measured.agents] += 1

    def next_agents(self) -> int | None:
        """Return the number to measure next; None when the search is over."""
        if len(self.measured) >= self._runs_most:
            return None
        undecided = [agents for agents in self._failed if not self._holds(agents) and not self._fails(agents)]
        if undecided:
            return undecided[0]
        holds, fails = self._best()
        if fails is None:
            if holds == 0:
                return self._first
            return min(self._most, holds * 2) if holds < self._most else self._once_more(holds)
        if fails - holds <= max(1, int(fails * self._near_part)):
            return self._once_more(holds)
        return (holds + fails) // 2

    def _once_more(self, holds: int) -> int | None:
        return holds if holds > 0 and self._held[holds] < TWICE else None

    def _holds(self, agents: int) -> bool:
        return self._held[agents] > self._failed[agents]

    def _fails(self, agents: int) -> bool:
        return self._failed[agents] >= TWICE and self._failed[agents] > self._held[agents]

    def _best(self) -> tuple[int, int | None]:
        """Return the largest number that holds below the smallest that fails, 0 for none; and that one."""
        fails = min((agents for agents in self._failed if self._fails(agents)), default=None)
        held = [agents for agents in self._held if self._holds(agents) and (fails is None or agents < fails)]
        return max(held, default=0), fails

    # -- the answer --

    def answer(self, stopped: str = "") -> Capacity:
        """Return what is known; ``stopped`` says why the search was ended before its time, if it was."""
        holds, fails = self._best()
        parts = [self._of_holding(holds, fails), self._of_failing(fails), stopped]
        if not stopped and len(self.measured) >= self._runs_most:
            parts.append(f"The search ended after {self._runs_most} runs")
        return Capacity(holds, fails, ". ".join(part for part in parts if part) + ".")

    def _of_holding(self, holds: int, fails: int | None) -> str:
        if not holds:
            return "There is no number of agents with which the condition was seen to hold" if self.measured else ""
        words = f"With {holds:,} agents the condition held in {_times(self._held[holds])}"
        words += f" of {self._held[holds] + self._failed[holds]} runs" if self._failed[holds] else ""
        return words + (", and nothing beyond was tried" if fails is None else "")

    def _of_failing(self, fails: int | None) -> str:
        if fails is None:
            return ""
        why = next((one.why for one in reversed(self.measured) if one.agents == fails and not one.held), "")
        words = f"With {fails:,} it failed in {_times(self._failed[fails])}"
        words += f" of {self._held[fails] + self._failed[fails]} runs" if self._held[fails] else ""
        return f"{words}: {why}" if why else words


def _times(count: int) -> str:
    return "one run" if count == 1 else f"{count} runs"
