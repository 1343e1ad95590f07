"""What a generator counts and times, and the sample of one second that it sends.

Names are ours; what the server calls things (reasons, close codes) becomes a part behind a colon, ``refused:busy``,
cleaned and bounded in number, so that a server that makes up reasons can't fill the memory of those who test it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from loadtest.histogram import Histogram

__all__ = ["TIMES", "Measures", "Phase", "Sample"]

#: Where a generator stands: its agents join; all have; no new commands, some still run; none runs any more.
Phase: TypeAlias = Literal["ramp", "ready", "drain", "drained"]

#: What is timed:
#:
#:     rtt        from an agent's request to its ack, proof of work included
#:     challenge  from the request to the challenge
#:     decision   from the answer to the ack
#:     join       from asking for a session to the first state of the chunk
#:     resume     the same for the connections after the first, without the session
#:     tick_gap   between two deltas at one reader, if the first of them showed somebody moving
#:     lag        how late the generator's own event loop is
TIMES: Final = ("rtt", "challenge", "decision", "join", "resume", "tick_gap", "lag")

NAMES_MAX: Final = 200
_PART: Final = re.compile(r"[a-z0-9_.-]{1,40}")


@dataclass(slots=True)
class Measures:
    """Counts by name and times by name."""

    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram() for name in TIMES})

    def count_as(self, group: str, part: str | int | None) -> None:
        """Count one of ``group``, by what the server (or the code) calls it."""
        name = f"{group}:{_cleaned(part)}"
        if name not in self.counts and len(self.counts) >= NAMES_MAX:
            name = f"{group}:other"
        self.counts[name] += 1

    def of_group(self, group: str) -> dict[str, int]:
        """Return the parts of a group and their counts, the most frequent first."""
        head = f"{group}:"
        parts = {name.removeprefix(head): count for name, count in self.counts.items() if name.startswith(head)}
        return dict(sorted(parts.items(), key=lambda item: (-item[1], item[0])))

    def merge(self, other: Measures) -> None:
        """Add all of ``other``."""
        self.counts.update(other.counts)
        for name, histogram in other.times.items():
            self.times[name].merge(histogram)


@dataclass(slots=True)
class Sample:
    """One second of one generator."""

    #: The generator's number.
    task: int
    #: Whole seconds since all generators began together.
    second: int
    #: How long it really was.
    seconds: float
    phase: Phase
    measures: Measures
    #: How many agents are connected and have been shown a state.
    agents: int = 0
    #: How many spectators are, likewise.
    spectators: int = 0
    #: Commands that were requested and are not over.
    running: int = 0
    #: Processor time that the process used.
    cpu_s: float = 0.0
    #: What of it went into proofs of work.
    proof_s: float = 0.0
    #: After how many seconds the last of those who joined so far got in; 0 before the first.
    joined_s: float = 0.0
    #: Share of all processors of the machine that were busy, by anybody, 0..1.
    machine_cpu: float = 0.0
    #: Resident memory of the process.
    memory_bytes: int = 0


def _cleaned(part: str | int | None) -> str:
    text = str(part if part is not None else "none").lower()
    return text if _PART.fullmatch(text) else "other"
