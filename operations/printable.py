"""Text from elsewhere on an operator's terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Write out whatever a terminal would act on (bidirectional marks among it), as ``\u001b``."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
