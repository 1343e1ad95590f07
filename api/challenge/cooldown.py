"""What an agent pays for failed answers: 30 s of ``rate_limited`` after more than 5 in 60 s (contract, "Playing").

Kept in Redis per agent, so it holds across reconnects, sessions and gateways.  The cooldown itself is a key with an
expiry: nothing has to end it, and it can't outlive its time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CooldownRules:
    """``failures_max`` failures in ``window_ms`` pass; the next begins a cooldown of ``cooldown_ms``.

    "On and on" is the ``close_after``-th cooldown within ``memory_ms``, or ``refusals_max`` messages in a row that
    were refused as ``rate_limited``: the connection is closed.
    """

    failures_max: int = 5
    window_ms: int = 60_000
    cooldown_ms: int = 30_000
    memory_ms: int = 600_000
    close_after: int = 3
    refusals_max: int = 100

    def must_close(self, cooldowns: int, refusals_in_a_row: int) -> bool:
        """Return whether the connection is to be closed."""
        return cooldowns >= self.close_after or refusals_in_a_row >= self.refusals_max
