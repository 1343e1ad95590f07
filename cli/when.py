"""A moment of a world as the command line takes it: a tick, or a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from chunkcrawl.commands.history import parse_moment

_TICK: Final = re.compile(r"\d{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class When:
    """A tick, or a Unix time in milliseconds."""

    value: int
    is_time: bool


def parse_when(words: str, option: str) -> When:
    """Return the tick that is written, or the time: ``2h`` ago, or an ISO time (UTC without a zone).

    Raises:
        typer.BadParameter: It is neither.
    """
    if _TICK.fullmatch(words):
        return When(int(words), is_time=False)
    at = parse_moment(words, datetime.now(UTC), option)
    return When(int(at.timestamp() * 1000), is_time=True)
