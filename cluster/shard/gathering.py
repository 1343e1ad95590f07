"""How long a commit waits for what else comes, so that under load many decisions share one.

A commit costs the shard, Redis and every answer's way back about as much whether it holds one decision or ten.  Where
little is decided nobody waits.  Pure arithmetic; the caller hands in readings of a monotonic clock.
"""

from __future__ import annotations

import math
from typing import Final

#: Under load two commits begin so far apart, those of ticks left out.
APART_S: Final = 0.008
#: Decisions a second below which nothing waits, and from which on the whole of ``APART_S`` is kept.
QUIET_PER_S: Final = 25.0
BUSY_PER_S: Final = 100.0
#: Beyond it they begin further apart, up to so much at that rate: a gateway has all the more to do beside it.
FURTHER_S: Final = 0.008
FULL_PER_S: Final = 300.0
#: The rate is that of about so long.
WINDOW_S: Final = 1.0


class Gathering:
    """When the next commit of a shard may begin, by how much has been decided of late."""

    def __init__(self) -> None:
        self._decided = 0.0
        self._noted_at = 0.0
        self._began_at = float("-inf")

    def note(self, decisions: int, now: float) -> None:
        """Count decisions that are to be committed."""
        self._decided = self._decided * math.exp((self._noted_at - now) / WINDOW_S) + decisions
        self._noted_at = now

    def began(self, now: float) -> None:
        """Note that a commit begins."""
        self._began_at = now

    def wait_s(self, now: float) -> float:
        """Return for how long what has just been noted should wait for more."""
        rate = self._decided / WINDOW_S
        apart_s = APART_S * _share(rate, QUIET_PER_S, BUSY_PER_S) + FURTHER_S * _share(rate, BUSY_PER_S, FULL_PER_S)
        return max(0.0, apart_s - (now - self._began_at))


def _share(rate: float, least: float, most: float) -> float:
    """Return how far ``rate`` is on the way from ``least`` to ``most``, 0 to 1."""
    return min(1.0, max(0.0, (rate - least) / (most - least)))
