"""One character for each agent on a map of characters: never one for two, and the same while it is in sight.  Pure."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Final

__all__ = ["MANY", "Signs"]

#: The sign of agents for whom no other is left.
MANY: Final = "a"

FREE: Final = string.ascii_uppercase + string.digits + "".join(c for c in string.ascii_lowercase if c not in "an")


class Signs:
    """Gives signs out, and takes them back from agents that are gone."""

    def __init__(self) -> None:
        self._signs: dict[str, str] = {}

    def of(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return a sign for everybody in sight.

        Args:
            names: Of all agents in sight, by id.

        Returns:
            By id: a letter or digit of the name where one is free, else any; ``MANY`` when all are given out.
        """
        found = {one: self._signs[one] for one in names if self._signs.get(one, MANY) != MANY}
        taken = set(found.values())
        for one in sorted(names.keys() - found.keys()):
            found[one] = next((sign for sign in _wishes(names[one]) if sign not in taken), MANY)
            taken.add(found[one])
        self._signs = found
        return found


def _wishes(name: str) -> str:
    """Return signs for a name, the best first: its last word's first character, its others, then what is free."""
    words = re.findall(r"[A-Z0-9]+", name.upper())
    last = words[-1].lstrip("0") or words[-1] if words else ""
    return last + "".join(word[0] for word in reversed(words)) + "".join(words) + FREE
