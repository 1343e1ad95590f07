"""Readers that do not keep up: up to a minute without reading, then a short moment of it.

A short pause is for the server to bridge; in a long one it finds the reader dead, or resyncs a spectator, or closes an
agent (4002) and replays when it is back.  In any case everybody else has to be served on time.
"""

from __future__ import annotations

import random
from typing import Final, Protocol

__all__ = ["Pausable", "Slowness"]

PAUSED_S: Final = (5.0, 60.0)
READING_S: Final = 1.0


class Pausable(Protocol):
    """A connection whose reading can be stopped."""

    def pause(self, paused: bool) -> None:
        """Stop reading, or go on."""
        ...


class Slowness:
    """When one reader reads; ``apply`` is to be called about once a second.  A new connection is read at first."""

    def __init__(self, rng: random.Random) -> None:
        self._connection: Pausable | None = None
        self._turn_at = 0.0
        self._rng = rng
        #: Whether nothing is read now.
        self.paused = False
        #: When reading went on last.
        self.reading_since = 0.0

    def apply(self, connection: Pausable, now: float, *, going: bool) -> None:
        """Stop or go on reading when it is time; while not ``going``, everything is read."""
        if connection is not self._connection:
            self._connection, self.paused = connection, False
            self._turn_at = now + self._rng.random() * PAUSED_S[0]
        if self.paused and not going:
            self._turn_at = now
        if now < self._turn_at or (not self.paused and not going):
            return
        self.paused = not self.paused
        self._turn_at = now + (self._rng.uniform(*PAUSED_S) if self.paused else READING_S)
        if not self.paused:
            self.reading_since = now
        connection.pause(self.paused)
