"""The condition of ``--find-limit``: what must hold for a number of agents to be carried.  Pure.

    condition = part ("and" part)*          part = figure ("<" | "<=" | ">" | ">=" | "==" | "!=") number

Nothing is evaluated but comparisons of a known figure with a number.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from loadtest.limits import BadLimit, Checked, FigureLimit, holds

__all__ = ["Condition"]

CHARS_MOST: Final = 1_000
PARTS_MOST: Final = 16
_AND: Final = re.compile(r"\s+and\s+|\s*&&\s*|\s*,\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Condition:
    """All parts must hold."""

    parts: tuple[FigureLimit, ...]

    @classmethod
    def parse(cls, text: str, known: Collection[str]) -> Condition:
        """Read ``rtt_p99_ms<100 and tick_gap_p99_ms<300``.

        Raises:
            BadLimit: It has another form, is too long, or names a figure that there is not.
        """
        if len(text) > CHARS_MOST:
            raise BadLimit(f"a condition has at most {CHARS_MOST:,} characters")
        parts = _AND.split(text.strip())
        if len(parts) > PARTS_MOST:
            raise BadLimit(f"a condition has at most {PARTS_MOST} parts")
        return cls(tuple(FigureLimit.parse(part, known) for part in parts))

    def check(self, figures: Mapping[str, float | None]) -> list[Checked]:
        """Hold figures against it; what was not measured does not hold."""
        found = []
        for part in self.parts:
            value = figures.get(part.figure)
            found.append(Checked(part, value, value is None or not holds(part, value)))
        return found

    def __str__(self) -> str:
        return " and ".join(map(str, self.parts))
