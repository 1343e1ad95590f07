"""What secrets of ours look like, wherever they stand: for logs, and for ids that a client chooses."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HIDDEN", "hide_secrets_in", "holds_secret"]

#: What a secret of ours looks like wherever it stands, whole or cut off: by its prefix, or (a command secret, a
#: signature) as the 43 characters of 256 bits by themselves, which no id of ours has.
_SECRET: Final = re.compile(
    r"(?:sess|dca)_[A-Za-z0-9_\-]{16,}"
    r"|dc[wo]_[0-9a-f]{12}_[A-Za-z0-9_\-]{8,}"
    r"|(?<![A-Za-z0-9_\-])(?=[a-z0-9_\-]*[A-Z])(?=[A-Z0-9_\-]*[a-z])[A-Za-z0-9_\-]{43}(?![A-Za-z0-9_\-])"
)
HIDDEN: Final = "(hidden)"


def holds_secret(text: str) -> bool:
    """Return whether something in ``text`` looks like a token, a key or a secret of ours."""
    return _SECRET.search(text) is not None


def hide_secrets_in(text: str) -> str:
    """Return ``text`` without what looks like a token, a key or a secret of ours."""
    return _SECRET.sub(HIDDEN, text)
