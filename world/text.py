"""Normal form of what an agent says: one line of visible text.

Source: docs/protocol.md, "Playing" (``say``).
"""

from __future__ import annotations

import unicodedata
from typing import Final

#: Longer texts are refused unread.
RAW_MAX_CHARS: Final = 4_096

_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REMOVED: Final = frozenset(("Cc", "Zl", "Zp"))
_INVISIBLE: Final = frozenset(("Cf", "Zs"))


def normalise(text: str) -> str | None:
    """Return the text without control characters, line breaks and bidi controls, in Unicode form NFC.

    Returns None for what can't be said: lone surrogates, nothing visible left, more than ``RAW_MAX_CHARS``.
    Removing comes before composing, so that normalising twice changes nothing more.
    """
    if len(text) > RAW_MAX_CHARS:
        return None
    kept = []
    visible = False
    for char in text:
        category = unicodedata.category(char)
        if category == "Cs":
            return None
        if category in _REMOVED or char in _BIDI_CONTROLS:
            continue
        visible = visible or category not in _INVISIBLE
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept)) if visible else None
