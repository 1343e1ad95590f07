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
class _Record:
    window_began: float
    broken: int = 0
    slow_until: float = float("-inf")


class SlowAddresses:
    """Times are seconds of one clock that only rises."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._records)

    def note_broken(self, address: str, now: float) -> None:
        """Count one more bound that ``address`` has broken."""
        record = self._records.get(address)
        if record is None:
            record = self._records[address] = _Record(now)
            if len(self._records) > ADDRESSES_MOST:
                self._records.popitem(last=False)
        else:
            self._records.move_to_end(address)
        if now - record.window_began >= WINDOW_S:
            record.window_began, record.broken = now, 0
        record.broken += 1
        if record.broken >= BROKEN_MOST or now < record.slow_until:
            record.slow_until = now + SLOW_S

    def is_slow(self, address: str, now: float) -> bool:
        """Return whether its new connections have to wait."""
        record = self._records.get(address)
        return record is not None and now < record.slow_until
