"""The tick gap at one reader, from deltas that are mostly not parsed.

A delta is sent only for ticks in which something changed, so a long silence may be a quiet chunk.  But where a delta
shows somebody moving, the next tick changes something too, and the time until it arrives is a gap: 200 ms when all is
well.  Whether the server skipped the numbers of the ticks it was late with makes no difference to it.
"""

from __future__ import annotations

import re
from typing import Final

from loadtest.measures import Measures

__all__ = ["TickWatch"]

_TICK: Final = re.compile(rb'"tick":\s*(-?\d{1,18})(?!\d)')
_MOVING: Final = b'"moving"'


class TickWatch:
    """The gaps of one connection.  Call ``restart`` when what follows is another chunk's, or was missed."""

    def __init__(self) -> None:
        self._tick: int | None = None
        self._at = 0.0
        self._moving = False

    def restart(self) -> None:
        """Forget the last delta: the next one follows on none."""
        self._tick = None

    def note(self, raw: bytes, now: float, measures: Measures) -> None:
        """Take a delta that arrived at ``now`` (seconds of any clock that only rises)."""
        found = _TICK.search(raw)
        if found is None:
            return
        tick = int(found[1])
        if self._tick is not None and tick > self._tick and self._moving:
            measures.times["tick_gap"].record(now - self._at)
            measures.counts["ticks_skipped"] += tick - self._tick - 1
        self._tick, self._at, self._moving = tick, now, _MOVING in raw
