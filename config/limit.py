"""How much of something is allowed, as a value: ``20+120/h`` is 20 at once, and 120 an hour after that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Limit"]

SECONDS_OF_UNIT: Final = {"s": 1, "min": 60, "h": 3600}
BURST_MAX: Final = 1_000_000
INTERVAL_MIN_US: Final = 1
INTERVAL_MAX_US: Final = 86_400_000_000
_LIMIT: Final = re.compile(r"([0-9]{1,7})\+([0-9]{1,7})/(s|min|h)")


@dataclass(frozen=True, slots=True)
class Limit:
    """``burst`` at once, and then one more each ``interval_us`` microseconds.  Written ``20+120/h``."""

    burst: int
    interval_us: int

    def __post_init__(self) -> None:
        if not (1 <= self.burst <= BURST_MAX and INTERVAL_MIN_US <= self.interval_us <= INTERVAL_MAX_US):
            raise ValueError("a limit out of range")

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read a limit as the settings write it: ``<at once>+<more>/<s, min or h>``.

        Raises:
            ValueError: it is not of that form; the text says which is.
        """
        match = _LIMIT.fullmatch(text)
        if match is None or int(match[1]) == 0 or int(match[2]) == 0:
            raise ValueError("must be of the form 20+120/h: 20 at once and 120 an hour; s, min or h, both at least 1")
        return cls(int(match[1]), max(1, SECONDS_OF_UNIT[match[3]] * 1_000_000 // int(match[2])))

    @property
    def interval_ms(self) -> int:
        """Time in which one token comes, rounded up."""
        return -(-self.interval_us // 1000)
