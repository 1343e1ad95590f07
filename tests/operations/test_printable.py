"""Text from elsewhere on an operator's terminal."""

from __future__ import annotations

import pytest

from operations.printable import printable


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain caf\u00e9", "plain caf\u00e9"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\nb\r", "a\\u000ab\\u000d"),
        ("\u202etxt", "\\u202etxt"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text: str, written: str) -> None:
    assert printable(text) == written
    assert printable(text).isprintable()
