"""What an agent says, in its normal form."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from world.text import RAW_MAX_CHARS, normalise


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("hello", "hello"),
        (" two  words ", " two  words "),
        ("one\nline\r\n\ttab\x00\x1b[31m", "onelinetab[31m"),
        ("a\u2028b\u2029c\x85d", "abcd"),
        ("safe\u202eevil\u2066x\u2069\u200f", "safeevilx"),
        ("e\u0301", "\u00e9"),
        ("e\x00\u0301", "\u00e9"),
        ("\ufdfa", "\ufdfa"),  # NFC leaves it one character; NFKC would make 18 of it
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_heard(text: str, heard: str) -> None:
    assert normalise(text) == heard


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n", "\u3000\u00a0", "\u200b\u200d", "\x00", "\u202e", "\ud800", "ok\udfff", "x" * (RAW_MAX_CHARS + 1)],
)
def test_not_sayable(text: str) -> None:
    """Nothing to see, half characters, or far too much."""
    assert normalise(text) is None


@given(st.text(max_size=80))
def test_once_is_enough(text: str) -> None:
    """Normalising twice changes nothing; the result is one line without controls."""
    heard = normalise(text)
    if heard is not None:
        assert normalise(heard) == heard
        assert len(heard.splitlines()) == 1
        assert unicodedata.is_normalized("NFC", heard)
        assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in heard)
