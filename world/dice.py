"""A small seeded generator: the same numbers in every process, Python version and platform.

SplitMix64 (Steele, Lea and Flood 2014) on plain integers, seeded by a digest of tagged values.
The standard library's generator keeps its promise for ``random()`` only, not for ``randrange`` or ``shuffle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from world.ids import stable_hash

T = TypeVar("T")

MASK_64: Final = (1 << 64) - 1


class Dice:
    """A stream of numbers that depends on its key alone.

    The key's parts are written with their lengths and types, so ("1", 23) and (12, 3), or 1 and "1", differ.
    """

    __slots__ = ("_state",)

    def __init__(self, *key: int | str) -> None:
        self._state = stable_hash("|".join(_tagged(part) for part in key))

    def next64(self) -> int:
        """Return the next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & MASK_64
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK_64
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """Return a whole number in 0 .. ``bound`` - 1 (bound is small beside 2**64, so the bias does not show)."""
        return self.next64() % bound

    def between(self, least: int, most: int) -> int:
        """Return a whole number in ``least`` .. ``most``, both included."""
        return least + self.below(most - least + 1)

    def pick(self, values: Sequence[T]) -> T:
        """Return one of the values."""
        return values[self.below(len(values))]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """Return the values in a new order (Fisher and Yates)."""
        result = list(values)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result


def _tagged(part: int | str) -> str:
    text = str(part)
    return f"{type(part).__name__}{len(text)}:{text}"
