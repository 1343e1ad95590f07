"""The world's time: tick numbers from the world's epoch, on a monotonic clock.

Pure arithmetic; the caller hands in readings of a monotonic clock.  Wall time is used once, to find the number
to begin with; from there only the monotonic clock counts, so a clock that is set back can't turn a number back.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import default


@dataclass(slots=True)
class TickClock:
    """Which tick is due."""

    #: Ticks a second.
    hz: float
    #: Monotonic seconds at which tick 0 would have begun.
    origin: float
    #: How many late ticks are run one after the other; more than that are skipped.
    back_to_back_most: int = default("late_ticks_max")

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
    ) -> TickClock:
        """Make a clock whose present tick is at least ``last_tick + 1``, whatever the wall clock says."""
        elapsed_s = max((wall_ms - epoch_ms) / 1000, (last_tick + 1) / hz)
        return cls(hz, monotonic - elapsed_s, back_to_back_most)

    def due(self, monotonic: float) -> int:
        """Return the highest tick that should have begun by now."""
        return int((monotonic - self.origin) * self.hz)

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
        """Make ``tick`` due now if it lies ahead (a chunk came from a shard whose numbers are higher)."""
        ahead = tick - self.due(monotonic)
        if ahead > 0:
            self.origin -= ahead / self.hz
