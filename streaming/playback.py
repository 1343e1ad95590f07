"""When what happened is shown again: ticks of the past on the clock of whoever looks back.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SPEED_LEAST: Final = 0.5
SPEED_MOST: Final = 32.0


@dataclass(frozen=True, slots=True)
class Playback:
    """A playback that began with ``tick`` at ``began_s`` of any clock.

    ``hz``: ticks a second when it happened; ``speed``: how many times faster it is shown.
    """

    tick: int
    began_s: float
    hz: float
    speed: float

    def due_s(self, tick: int) -> float:
        """Return when a tick is to be shown."""
        return self.began_s + (tick - self.tick) / (self.hz * self.speed)

    def wait_s(self, tick: int, now_s: float) -> float:
        """Return how long a tick is to be waited for; 0: it is due."""
        return max(0.0, self.due_s(tick) - now_s)

    def after_gap(self, tick: int, now_s: float) -> Playback:
        """Return the playback that goes on at once with ``tick``: nobody waits through what can't be shown."""
        return Playback(tick, now_s, self.hz, self.speed)
