"""A tick or a time on the command line."""

from __future__ import annotations

import time

import pytest
import typer

from cli.when import When, parse_when


def test_a_tick() -> None:
    assert parse_when("0", "--at") == When(0, is_time=False)
    assert parse_when("123456", "--at") == When(123_456, is_time=False)


def test_a_time() -> None:
    assert parse_when("2026-03-01T12:00", "--at") == When(1_772_366_400_000, is_time=True)
    assert parse_when("2026-03-01T13:00+01:00", "--at") == When(1_772_366_400_000, is_time=True)
    before = time.time_ns() // 1_000_000
    ago = parse_when("2h", "--at").value
    assert before <= ago + 2 * 3_600_000 <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("words", ["-1", "1.5", "soon", "", "2y", "2026-13-01", "９"])
def test_neither(words: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_when(words, "--at")
