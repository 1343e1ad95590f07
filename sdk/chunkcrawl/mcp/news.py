"""What has happened since it was last told, short enough for a language model.  Pure.

What repeats is summed up ("bob took 5 gold from n-1."), and when there is too much, the least important goes first:
talk is never given up for the many lines of a harvest.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["News", "Weight"]

KEPT: Final = 100
SHOWN: Final = 20


class Weight(enum.IntEnum):
    """How important a line is."""

    ROUTINE = 0
    THING = 1
    TALK = 2
    #: What became of the agent's own commands and connection.
    OWN = 3


_Key: TypeAlias = tuple[str, ...]


@dataclass(slots=True)
class _Item:
    text: str
    weight: Weight
    times: int = 1
    amount: int = 0
    source: str = ""

    def line(self) -> str:
        if self.source:
            return f"{self.text} took {self.amount} gold from {self.source}."
        return f"{self.text} ({self.times} times)" if self.times > 1 else self.text


class News:
    """Lines in the order in which they came, at most ``KEPT`` between two calls of ``take``."""

    def __init__(self) -> None:
        self._items: dict[_Key, _Item] = {}
        self._left_out = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def add(self, line: str, weight: Weight) -> None:
        """Add a line; one that is there already is counted."""
        self._put((line,), _Item(line, weight))

    def took(self, who: str, node_id: str, amount: int) -> None:
        """Add what somebody harvested; it becomes one line for each node, with the sum."""
        self._put(("took", who, node_id), _Item(who, Weight.ROUTINE, amount=amount, source=node_id))

    def take(self, shown: int = SHOWN) -> list[str]:
        """Hand over, and forget, the ``shown`` most important lines; a first one says how many others there were."""
        self._thin(shown)
        head = [f"... {self._left_out} less important lines left out"] if self._left_out else []
        lines = [item.line() for item in self._items.values()]
        self._items, self._left_out = {}, 0
        return head + lines

    def _put(self, key: _Key, item: _Item) -> None:
        known = self._items.get(key)
        if known is not None:
            known.times += 1
            known.amount += item.amount
            return
        self._items[key] = item
        self._thin(KEPT)

    def _thin(self, most: int) -> None:
        while len(self._items) > most:
            # The oldest of the least important ones.
            del self._items[min(self._items, key=lambda key: self._items[key].weight)]
            self._left_out += 1
