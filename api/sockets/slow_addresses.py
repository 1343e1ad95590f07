"""Addresses whose new connections have to wait, because bounds were broken from there again and again.

Breaking a bound costs a stranger less than refusing it costs a gateway, and the next try may follow at once.  So an
address that has broken ``BROKEN_MOST`` bounds within a second is *slow* until it has broken none for ``SLOW_S``.  What
that means is ``api.sockets.connection_limits``'s business.  Pure; one table for each gateway.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

__all__ = ["BROKEN_MOST", "SLOW_S", "SlowAddresses"]

BROKEN_MOST: Final = 10
WINDOW_S: Final = 1.0
SLOW_S: Final = 10.0
#: Addresses that are remembered; the one that has broken none for longest is forgotten for one more.
ADDRESSES_MOST: Final = 4_096


@dataclass(slots=True)
class _BrokenBounds:
    window_began: float
    broken: int = 0
    slow_until: float = float("-inf")


class SlowAddresses:
    """The addresses that have broken bounds of late.  Times are seconds of one clock that only rises."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _BrokenBounds] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._known)

    def note_broken(self, address: str, now: float) -> None:
        """Count one more bound that ``address`` has broken."""
        known = self._known.get(address)
        if known is None:
            known = self._known[address] = _BrokenBounds(now)
            if len(self._known) > ADDRESSES_MOST:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(address)
        if now - known.window_began >= WINDOW_S:
            known.window_began, known.broken = now, 0
        known.broken += 1
        if known.broken >= BROKEN_MOST or now < known.slow_until:
            known.slow_until = now + SLOW_S

    def is_slow(self, address: str, now: float) -> bool:
        """Return whether its new connections have to wait."""
        known = self._known.get(address)
        return known is not None and now < known.slow_until
