"""How a journey ended.

Each says it in ``reason``, a stable code, and in words by ``str()``; ``ok`` tells whether it reached its aim.

    Arrived, Explored, Harvested, StillFollowing     ok
    NoWay, NoGold, LostSight, TimedOut                    not ok
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Arrived", "Explored", "Harvested", "LostSight", "NoGold", "NoWay", "Outcome", "StillFollowing", "TimedOut"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a journey.

    Attributes:
        chunk_id: The chunk in which the agent stands; None when it is not known.
        x, y: Its cell; -1 when it is not known.
    """

    reason: ClassVar[str] = ""
    ok: ClassVar[bool] = False

    chunk_id: str | None
    x: int
    y: int

    @property
    def place(self) -> str:
        """Where the agent stands, as one word."""
        return f"{self.chunk_id or 'nowhere'}:{self.x},{self.y}"


@dataclass(frozen=True, slots=True)
class Arrived(Outcome):
    """The agent stands where it was to go."""

    reason: ClassVar[str] = "arrived"
    ok: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"arrived at {self.place}"


@dataclass(frozen=True, slots=True)
class Explored(Outcome):
    """Chunks were entered for the first time: ``found``, in that order."""

    reason: ClassVar[str] = "explored"
    ok: ClassVar[bool] = True

    found: tuple[str, ...]

    def __str__(self) -> str:
        return f"found {', '.join(self.found)}, now at {self.place}"


@dataclass(frozen=True, slots=True)
class Harvested(Outcome):
    """``amount`` was taken."""

    reason: ClassVar[str] = "harvested"
    ok: ClassVar[bool] = True

    amount: int

    def __str__(self) -> str:
        return f"took {self.amount} gold, now at {self.place}"


@dataclass(frozen=True, slots=True)
class StillFollowing(Outcome):
    """The time to follow was up, and ``agent_id`` was still in sight."""

    reason: ClassVar[str] = "still_following"
    ok: ClassVar[bool] = True

    agent_id: str

    def __str__(self) -> str:
        return f"followed {self.agent_id} up to {self.place}"


@dataclass(frozen=True, slots=True)
class NoWay(Outcome):
    """There is no way.

    Attributes:
        why: ``unknown_chunk`` (the map does not have it, or no way there), ``chunk_gone`` (it was collected),
            ``wall``, ``boundary`` (stepping on it leaves the chunk), ``closed`` (nothing but walls on that side, or
            no door that is not known already), ``crowded`` (others stood in the way again and again).
        text: The same in words.
    """

    reason: ClassVar[str] = "no_way"

    why: str
    text: str

    def __str__(self) -> str:
        return f"no way: {self.text}; now at {self.place}"


@dataclass(frozen=True, slots=True)
class NoGold(Outcome):
    """There is no more gold within reach; ``amount`` was taken before."""

    reason: ClassVar[str] = "no_gold"

    amount: int

    def __str__(self) -> str:
        return f"no gold within reach, took {self.amount} before; now at {self.place}"


@dataclass(frozen=True, slots=True)
class LostSight(Outcome):
    """``agent_id`` is out of sight, and which way it went is not known."""

    reason: ClassVar[str] = "lost"

    agent_id: str

    def __str__(self) -> str:
        return f"lost sight of {self.agent_id}, now at {self.place}"


@dataclass(frozen=True, slots=True)
class TimedOut(Outcome):
    """The time was up.  What was done up to then counts: ``found`` chunks, ``amount`` of gold."""

    reason: ClassVar[str] = "timed_out"

    found: tuple[str, ...] = ()
    amount: int = 0

    def __str__(self) -> str:
        return f"the time was up at {self.place}"
