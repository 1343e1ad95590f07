"""The code blocks of a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME: Final = re.compile(r"# (\S+\.py)\n")


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a language, in order."""
    return [text for found, text in _BLOCK.findall(page.read_text()) if found == language]


def programs(page: Path) -> dict[str, str]:
    """The Python blocks by the file name in their first line, in order."""
    found = {}
    for text in blocks(page, "python"):
        name = _NAME.match(text)
        assert name, f"a block of {page.name} without a name: {text[:60]}"
        found[name[1]] = text
    return found
