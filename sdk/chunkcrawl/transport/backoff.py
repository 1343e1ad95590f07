"""How long to wait before the next try: full jitter, growing, capped.

Pure but for the random numbers that the caller hands in, so that a thousand clients which lost their server at the same
moment do not come back at the same moment.
"""

from __future__ import annotations

import random
from typing import Final

__all__ = ["RESTART_SPREAD_S", "Backoff"]

#: After "the service restarts" (close code 1012, 1001) the first tries of all clients spread over so many seconds.
RESTART_SPREAD_S: Final = 10.0


class Backoff:
    """Delays between tries: uniform over 0..``base_s`` * 2**n, at most ``cap_s``."""

    def __init__(self, rng: random.Random, *, base_s: float = 0.5, cap_s: float = 15.0) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self._tries = 0

    @property
    def tries(self) -> int:
        """How many delays were given since the last ``reset``."""
        return self._tries

    def next_delay(self, *, at_least_s: float = 0.0, spread_s: float | None = None) -> float:
        """Return the delay before the next try, in seconds.

        Args:
            at_least_s: The server's own hint (``Retry-After``, ``retry:``); the jitter comes on top of it.
            spread_s: Use this window instead of the grown one if it is larger.
        """
        # 2**32 seconds are beyond any cap; a bounded exponent keeps the number small after days of tries.
        window = min(self._cap_s, self._base_s * 2 ** min(self._tries, 32))
        self._tries += 1
        if spread_s is not None:
            window = max(window, spread_s)
        return at_least_s + self._rng.uniform(0.0, window)

    def reset(self) -> None:
        """Start small again, after a connection that stood."""
        self._tries = 0
