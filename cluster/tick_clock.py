"""The world's time: tick numbers from the world's epoch, on a monotonic clock.

Pure arithmetic; the caller hands in readings of a monotonic clock.  Wall time is used once, to find the number
to begin with; from there only the monotonic clock counts, so a clock that is set back can't turn a number back.

Shards tick one after the other: each has its phase, a part of a tick by which it is later than the world's time.  So of
two shards the number of one may be ahead by one, and whatever comes from there is no reason to set a clock.  A clock is
only ever set forward by whole ticks, and to one behind what it has seen: no going back and forth between shards makes
the numbers run faster than time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from config.settings import default

#: By how much numbers of two shards may differ because of their phases.
PHASES_APART: Final = 1
_GOLDEN: Final = (math.sqrt(5) - 1) / 2


def phase_of(shard: int) -> float:
    """Return a shard's phase, in ticks from 0 to 1: evenly spread, however many shards there are."""
    return shard * _GOLDEN % 1


@dataclass(slots=True)
class TickClock:
    """Which tick is due."""

    #: Ticks a second.
    hz: float
    #: Monotonic seconds at which tick 0 would have begun here.
    origin: float
    #: How many late ticks are run one after the other; more than that are skipped.
    back_to_back_most: int = default("late_ticks_max")
    #: How much later than the world's time it is here, in ticks; ``origin`` has it.
    phase: float = 0.0

    @classmethod
    def start(
        cls,
        *,
        hz: float,
        epoch_ms: int,
        wall_ms: float,
        monotonic: float,
        last_tick: int,
        back_to_back_most: int = default("late_ticks_max"),
        phase: float = 0.0,
    ) -> TickClock:
        """Make a clock that is not behind ``last_tick`` by more than phases make out, whatever the wall clock says."""
        elapsed_s = (wall_ms - epoch_ms) / 1000 - phase / hz
        clock = cls(hz, monotonic - elapsed_s, back_to_back_most, phase)
        clock.advance_to(last_tick, monotonic)
        return clock

    def due(self, monotonic: float) -> int:
        """Return the highest tick that should have begun by now."""
        return math.floor((monotonic - self.origin) * self.hz)

    def begins(self, tick: int) -> float:
        """Return the monotonic seconds at which ``tick`` begins."""
        return self.origin + tick / self.hz

    def next_tick(self, last_tick: int, monotonic: float) -> tuple[int, int] | None:
        """Return ``(number, skipped)`` of the tick to run now, or None when none is due."""
        late = self.due(monotonic) - last_tick
        if late <= 0:
            return None
        skipped = max(0, late - self.back_to_back_most)
        return last_tick + 1 + skipped, skipped

    def advance_to(self, tick: int, monotonic: float) -> None:
        """Set the clock forward if ``tick`` lies further ahead than phases make out (its shard's clock is ahead)."""
        ahead = tick - self.due(monotonic)
        if ahead > PHASES_APART:
            self.origin -= (ahead - PHASES_APART) / self.hz

    def until_there(self, tick: int, phase: float, monotonic: float) -> float:
        """Return the seconds until ``tick`` begins in a shard with that phase; 0 when it has begun."""
        return max(0.0, self.begins(tick) + (phase - self.phase) / self.hz - monotonic)
