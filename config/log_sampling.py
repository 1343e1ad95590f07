"""The sampling of lines that come with every command: some a second are written, the others are counted.

What they tell in sum is in the metrics; a line is for looking at one of them.  At the level ``debug`` of its module
none is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from structlog.typing import EventDict

__all__ = ["LINES_PER_S", "SAMPLED", "Sampler"]

#: Events that come as often as agents act, with the field by which their kinds have an allowance each: a flood of one
#: must not hide another.
SAMPLED: Final = {"challenge_answer": "verify_result"}

LINES_PER_S: Final = 5
#: The number of kinds beyond which all begin anew; there are far fewer.
KINDS_MOST: Final = 64


@dataclass(slots=True)
class Allowance:
    """What is known of the lines of one kind."""

    #: The second in which it was last looked at.
    second: int
    #: Lines that were written in that second.
    written: int = 0
    #: Lines that were left out since the last one that was written.
    left_out: int = 0


class Sampler:
    """Decides whether a line is written.  What was left out before it is its field ``left_out``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._allowances: dict[tuple[str, str], Allowance] = {}

    def __call__(self, event: EventDict) -> EventDict:
        """Return ``event``, or raise ``structlog.DropEvent``."""
        name = event["event"]
        field = SAMPLED.get(name)
        if field is None:
            return event
        allowance = self._of(name, str(event.get(field)))
        if allowance.written >= LINES_PER_S:
            allowance.left_out += 1
            raise structlog.DropEvent
        allowance.written += 1
        if allowance.left_out:
            event["left_out"], allowance.left_out = allowance.left_out, 0
        return event

    def leaves_out(self, name: str, kind: str) -> bool:
        """Return whether a line of a sampled event is left out now, which is then counted: it need not be made."""
        allowance = self._of(name, kind)
        if allowance.written < LINES_PER_S:
            return False
        allowance.left_out += 1
        return True

    def _of(self, name: str, kind: str) -> Allowance:
        second = int(self._clock())
        found = self._allowances.get((name, kind))
        if found is None:
            if len(self._allowances) >= KINDS_MOST:
                self._allowances.clear()
            found = self._allowances[name, kind] = Allowance(second)
        if found.second != second:
            found.second, found.written = second, 0
        return found
