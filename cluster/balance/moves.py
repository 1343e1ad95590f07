"""A chunk's move from one shard to another, why, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from cluster.balance.picture import CORE_US
from world.ids import ChunkId

#: ``load``: its shard carries too much; ``traffic``: agents cross between it and chunks of the other shard all the
#: time; ``leaving``: its shard is to be empty; ``hash``: nothing is balanced, and the routing hash names another shard.
Why = Literal["load", "traffic", "leaving", "hash"]
#: ``failed``: it stayed where it was.
Outcome = Literal["moved", "failed"]

WHYS: Final[tuple[Why, ...]] = ("load", "traffic", "leaving", "hash")
OUTCOMES: Final[tuple[Outcome, ...]] = ("moved", "failed")
#: The reasons that are bounded and after which a chunk rests.
BALANCING: Final = ("load", "traffic")


@dataclass(frozen=True, slots=True)
class ChunkMove:
    """A move that is to be carried out, with the figures that it was decided by: microseconds of CPU a second."""

    chunk_id: ChunkId
    from_shard: int
    to_shard: int
    why: Why
    #: What the two shards carried when it was decided, and what goes with the chunk.
    giving_us: float = 0.0
    taking_us: float = 0.0
    cost_us: float = 0.0

    def in_words(self) -> str:
        """Return why, with figures, for an operator."""
        if self.why == "load":
            there = f"those of shard-{self.to_shard} {percent(self.taking_us)} of a core"
            here = f"chunks of shard-{self.from_shard} cost {percent(self.giving_us)}"
            return f"{here}, {there}; this one {percent(self.cost_us)}"
        if self.why == "traffic":
            cost = percent(self.cost_us)
            return f"agents cross between it and chunks of shard-{self.to_shard}; the chunk costs {cost} of a core"
        if self.why == "leaving":
            return f"shard-{self.from_shard} is to be empty"
        return f"balancing is off, and its name belongs to shard-{self.to_shard}"


@dataclass(frozen=True, slots=True)
class MoveRecord:
    """A move that was tried."""

    #: When, in Unix time.
    at_ms: int
    chunk_id: str
    from_shard: int
    to_shard: int
    why: str
    #: Why, in words.
    words: str
    outcome: str
    #: For how long the chunk stood still; None: whoever had it moved did not live to hear it, or it did not move.
    pause_ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {name: getattr(self, name) for name in MoveRecord.__slots__}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> MoveRecord:
        """Read what ``to_json`` gave.

        Raises:
            KeyError, TypeError: it did not.
        """
        return cls(**{name: kept[name] for name in MoveRecord.__slots__})


def percent(load_us: float) -> str:
    """Return a load as percents of a core."""
    return f"{load_us / CORE_US * 100:.1f} %"
