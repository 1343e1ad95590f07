"""``chunkcrawl history AGENT``: how times and kinds are said, what a line looks like; asked of a server: test_main."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from api.history import Kind
from chunkcrawl.commands.history import KINDS, entry_line, parse_moment

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_the_kinds_are_the_servers() -> None:
    assert set(KINDS) == set(Kind.__args__)  # type: ignore[attr-defined]


def test_nothing_in_a_line_moves_a_cursor() -> None:
    shown = entry_line(NOW, 7, "chunk-0", "a\x1b[2J", "chat", {"text": "h\u00e4llo\n\x1b[31m \u202e", "x": None})
    assert shown == (
        "2026-03-02 00:00:00.000         7 chunk-0    a?[2J            chat        "
        'text="h\u00e4llo\\n\\u001b[31m \\u202e"'
    )


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-03-01T12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00+05:30", datetime(2026, 3, 1, 6, 30, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_times(words: str, at: datetime) -> None:
    assert parse_moment(words, NOW, "--since") == at


@pytest.mark.parametrize(
    "words", ["", "m", "-5m", "1.5h", "5y", "999999d", "9999-12-31T23:59-10:00", "٣m", "2026-13-01"]
)
def test_other_times_are_refused(words: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_moment(words, NOW, "--since")
