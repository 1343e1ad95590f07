"""The condition of a search: read safely, bounded, and told what it may name."""

from __future__ import annotations

import pytest

from loadtest.conditions import CHARS_MOST, PARTS_MOST, Condition
from loadtest.figures import FIGURES
from loadtest.limits import BadLimit


def parsed(text: str) -> Condition:
    return Condition.parse(text, FIGURES)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("rtt_p99_ms<100", "rtt_p99_ms<100"),
        ("  rtt_p99_ms < 100   and tick_gap_p99_ms<=300.5 ", "rtt_p99_ms<100 and tick_gap_p99_ms<=300.5"),
        ("rtt_p99_ms<100 AND given_up==0, disconnects<1", "rtt_p99_ms<100 and given_up==0 and disconnects<1"),
    ],
)
def test_what_a_condition_looks_like(text: str, form: str) -> None:
    assert str(parsed(text)) == form
    assert parsed(str(parsed(text))) == parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "and",
        "rtt_p99_ms",
        "rtt_p99_ms<100 or given_up==0",
        "rtt_p99_ms<100 and",
        "__import__('os')",
        "rtt_p99_ms<(1)",
        "rtt_p99_ms<1e9",
        "not rtt_p99_ms<5",
        "rtt_p99_ms<100;x",
        "rtt_p99_ms<nan",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(BadLimit, match="looks like"):
        parsed(text)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(BadLimit, match="no figure 'rtt_p98_ms'; did you mean rtt_p9") as caught:
        parsed("rtt_p98_ms<100")
    assert all(name in str(caught.value) for name in FIGURES)


def test_it_is_bounded() -> None:
    with pytest.raises(BadLimit, match=f"at most {CHARS_MOST:,} characters"):
        parsed("rtt_p99_ms<100 and " * 10_000)
    with pytest.raises(BadLimit, match=f"at most {PARTS_MOST} parts"):
        parsed(" and ".join(["given_up<1"] * (PARTS_MOST + 1)))


def test_what_does_not_hold_is_named() -> None:
    checked = parsed("rtt_p99_ms<100 and tick_gap_p99_ms<300 and given_up==0").check(
        {"rtt_p99_ms": 100.0, "tick_gap_p99_ms": None, "given_up": 0}
    )
    assert [(one.limit.figure, one.broken) for one in checked] == [
        ("rtt_p99_ms", True),
        ("tick_gap_p99_ms", True),
        ("given_up", False),
    ]
