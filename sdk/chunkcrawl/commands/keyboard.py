"""Keys of a terminal: bytes in, keys out, and the terminal's mode around it.

``KeyParser`` is pure.  ``raw_keys`` switches a terminal to reading single keys, and back again whatever happens.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["DIRECTIONS", "KeyParser", "raw_keys"]

#: Steps ``(dx, dy)`` of arrows, wasd and hjkl; north is up.
DIRECTIONS: Final = {
    **dict.fromkeys(("up", "w", "k"), (0, 1)),
    **dict.fromkeys(("right", "d", "l"), (1, 0)),
    **dict.fromkeys(("down", "s", "j"), (0, -1)),
    **dict.fromkeys(("left", "a", "h"), (-1, 0)),
}

_ARROWS: Final = {"A": "up", "B": "down", "C": "right", "D": "left"}
_NAMED: Final = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x04": "end", "\t": "tab"}
_SEQUENCE_MAX_CHARS: Final = 16


class KeyParser:
    """Turns what a terminal sends into names: a letter, ``up``, ``enter``, ``escape``, ``backspace``, ``end``."""

    def __init__(self) -> None:
        self._left = b""
        self._sequence = ""

    def feed(self, data: bytes) -> list[str]:
        """Return the keys in ``data``; half a letter or half a sequence waits for the rest."""
        text, self._left = _decoded(self._left + data)
        keys: list[str] = []
        for letter in text:
            keys += self._next(letter)
        return keys

    def flush(self) -> list[str]:
        """Return the key of a lone escape: nothing more came for a moment."""
        waiting, self._sequence = self._sequence, ""
        return ["escape"] if waiting == "\x1b" else []

    def _next(self, letter: str) -> list[str]:
        if letter == "\x1b":
            before, self._sequence = self._sequence, letter
            return ["escape"] if before == "\x1b" else []
        if not self._sequence:
            return [_NAMED.get(letter, letter)] if letter in _NAMED or letter.isprintable() else []
        self._sequence += letter
        if self._sequence in ("\x1b[", "\x1bO"):
            return []
        if not self._sequence.startswith(("\x1b[", "\x1bO")):
            self._sequence = ""
            return ["escape", letter] if letter.isprintable() else ["escape"]
        if letter.isalpha() or letter == "~" or len(self._sequence) > _SEQUENCE_MAX_CHARS:
            sequence, self._sequence = self._sequence, ""
            arrow = _ARROWS.get(sequence[-1])
            return [arrow] if arrow else []
        return []


def _decoded(data: bytes) -> tuple[str, bytes]:
    """Return the text, and up to three bytes of a letter that is not complete yet."""
    for cut in range(min(4, len(data) + 1)):
        whole, rest = data[: len(data) - cut], data[len(data) - cut :]
        try:
            return whole.decode(), rest
        except UnicodeDecodeError as error:
            if error.end < len(whole) or error.reason != "unexpected end of data":
                return data.decode(errors="ignore"), b""
    return data.decode(errors="ignore"), b""


@contextmanager
def raw_keys(on_key: Callable[[str], None]) -> Iterator[None]:
    """Read single keys from the terminal at stdin while the block runs; Ctrl-C still interrupts.

    Raises:
        OSError: stdin is no terminal.
    """
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    loop = asyncio.get_running_loop()
    parser = KeyParser()
    before = termios.tcgetattr(descriptor)

    def readable() -> None:
        data = os.read(descriptor, 1024)
        for key in [*parser.feed(data), *parser.flush()] if data else ["end"]:
            on_key(key)

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, readable)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
