"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import asyncio
import random

__all__ = ["RetryPause"]


class RetryPause:
    """Pauses between tries: each twice as long as the one before it, from ``first_s`` up to ``most_s``.

    Args:
        first_s: The first pause.
        most_s: The longest one.
        jitter: Draw each pause from half to one and a half times its length, so that many who have lost the same server
            do not come back in the same moment.
    """

    def __init__(self, first_s: float, most_s: float, *, jitter: bool = False) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self._next_s = first_s

    async def wait(self) -> None:
        """Wait for the next pause."""
        await asyncio.sleep(self.next_s())

    def next_s(self) -> float:
        """Return the next pause, in seconds, for those who wait for something else besides."""
        pause = self._next_s
        self._next_s = min(pause * 2, self._most_s)
        return pause * random.uniform(0.5, 1.5) if self._jitter else pause

    def reset(self) -> None:
        """Begin with ``first_s`` again, after a try that went well."""
        self._next_s = self._first_s
