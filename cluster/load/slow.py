"""Readers that do not keep up: seconds without reading, then a short moment of it.

What the server must do about them: resync a spectator, close an agent (4002) and replay when it is back, and keep
everybody else on time.
"""

from __future__ import annotations

import random
from typing import Protocol

__all__ = ["Pausable", "Slowness"]

PAUSED_S = 8.0
READING_S = 1.0


class Pausable(Protocol):
    """A connection whose reading can be stopped."""

    def pause(self, paused: bool) -> None:
        """Stop reading, or go on."""
        ...


class Slowness:
    """Of one reader; ``apply`` is to be called about once a second. A new connection is read at first."""

    def __init__(self, rng: random.Random) -> None:
        self._connection: Pausable | None = None
        self._turn_at = 0.0
        self._rng = rng
        self.paused = False

    def apply(self, connection: Pausable, now: float, *, going: bool) -> None:
        """Stop or go on reading when it is time; while not ``going``, everything is read."""
        if connection is not self._connection:
            self._connection, self.paused = connection, False
            self._turn_at = now + self._rng.random() * PAUSED_S
        if self.paused and not going:
            self._turn_at = now
        if now < self._turn_at or (not self.paused and not going):
            return
        self.paused = not self.paused
        self._turn_at = now + (PAUSED_S if self.paused else READING_S)
        connection.pause(self.paused)
