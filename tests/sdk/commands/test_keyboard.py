"""Keys out of a terminal's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkcrawl.commands.keyboard import DIRECTIONS, KeyParser


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"wq", ["w", "q"]),
        (b"\x1b[A\x1bOB\x1b[1;5C", ["up", "down", "right"]),
        (b"\r\x7f\x04", ["enter", "backspace", "end"]),
        (b"\x1bx", ["escape", "x"]),
        (b"\x1b\x1b[D", ["escape", "left"]),
        (b"\x1b[3~z", ["z"]),
        ("\u00e9\U0001f600".encode(), ["\u00e9", "\U0001f600"]),
        (b"\xffa", ["a"]),
        (b"\x00\x01", []),
    ],
)
def test_bytes_become_keys(data: bytes, keys: list[str]) -> None:
    assert KeyParser().feed(data) == keys


@given(st.binary(max_size=40), st.integers(0, 40))
def test_anything_is_digested(data: bytes, cut: int) -> None:
    parser = KeyParser()
    keys = parser.feed(data[:cut]) + parser.feed(data[cut:]) + parser.flush()
    assert all(keys)


def test_a_letter_and_a_sequence_may_come_in_pieces() -> None:
    parser = KeyParser()
    assert [parser.feed(bytes([byte])) for byte in "\U0001f600".encode()] == [[], [], [], ["\U0001f600"]]
    assert [parser.feed(piece) for piece in (b"\x1b", b"[", b"A")] == [[], [], ["up"]]


def test_a_lone_escape_is_a_key_once_nothing_follows() -> None:
    parser = KeyParser()
    assert parser.feed(b"\x1b") == []
    assert parser.flush() == ["escape"]
    assert parser.flush() == []


def test_north_is_up() -> None:
    assert DIRECTIONS["up"] == DIRECTIONS["w"] == DIRECTIONS["k"] == (0, 1)
