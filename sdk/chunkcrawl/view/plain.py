"""Text of strangers for a terminal: nothing in it is obeyed, and it fits.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.cells import cell_len, set_cell_size

__all__ = ["plain", "short_names", "shortened"]

TEXT_MAX_CHARS: Final = 100
TAIL_CHARS: Final = 8


def plain(value: object, most: int = TEXT_MAX_CHARS) -> str:
    """Return at most ``most`` characters of ``value``, with spaces for what a terminal might obey or can't print."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value)[:most])


def shortened(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` columns: its head and its tail, where ids differ most often."""
    if cell_len(text) <= width:
        return text
    tail = text[-min(TAIL_CHARS, max(0, width // 2 - 1)) :] if width > 4 else ""
    return set_cell_size(text, max(0, width - cell_len(tail) - 1)).rstrip() + "…" + tail


def short_names(names: Mapping[str, str], width: int) -> dict[str, str]:
    """Return names by id in at most ``width`` columns, no two alike where there is room to tell them apart."""
    found = {one: shortened(name, width) for one, name in names.items()}
    for alike in _groups(found):
        differs = _common_start([names[one] for one in alike])
        for one in alike:
            start = names[one][: max(1, width // 4)]
            found[one] = shortened(start + "…" + names[one][max(len(start), differs) :], width)
    for alike in _groups(found):
        for number, one in enumerate(sorted(alike), 1):
            found[one] = shortened(found[one], max(1, width - len(str(number)) - 1)) + f"#{number}"
    return found


def _groups(names: Mapping[str, str]) -> list[list[str]]:
    """Return the ids of names that are alike, for each such name."""
    groups: dict[str, list[str]] = {}
    for one, name in names.items():
        groups.setdefault(name, []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def _common_start(names: list[str]) -> int:
    """Return how many characters all begin with."""
    first, last = min(names), max(names)
    same = (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(same, min(len(first), len(last)))
