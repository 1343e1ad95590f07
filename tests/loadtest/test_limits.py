"""Limits as CI gives them."""

from __future__ import annotations

import pytest

from loadtest.figures import FIGURES
from loadtest.limits import BadLimit, FigureLimit, check


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("rtt_p99_ms>100", FigureLimit("rtt_p99_ms", ">", 100)),
        (" rtt_p99_ms >= 99.5 ", FigureLimit("rtt_p99_ms", ">=", 99.5)),
        ("acks_per_s<10", FigureLimit("acks_per_s", "<", 10)),
        ("given_up!=0", FigureLimit("given_up", "!=", 0)),
        ("agents==500", FigureLimit("agents", "==", 500)),
        ("disconnects<=-1", FigureLimit("disconnects", "<=", -1)),
    ],
)
def test_what_a_limit_looks_like(text: str, limit: FigureLimit) -> None:
    assert FigureLimit.parse(text, FIGURES) == limit


@pytest.mark.parametrize(
    "text", ["", "rtt_p99_ms", ">5", "rtt_p99_ms=5", "rtt_p99_ms>", "rtt_p99_ms>1e999", "a>b", "x" * 9999]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(BadLimit, match="looks like"):
        FigureLimit.parse(text, FIGURES)


def test_a_misspelt_figure_is_answered_with_near_ones() -> None:
    with pytest.raises(BadLimit, match="did you mean rtt_p99_ms"):
        FigureLimit.parse("rtt_p95_ms>1", FIGURES)


@pytest.mark.parametrize(
    ("text", "value", "broken"),
    [
        ("acks_per_s>5", 5.0, False),
        ("acks_per_s>5", 5.1, True),
        ("acks_per_s>=5", 5.0, True),
        ("acks_per_s<5", 4.9, True),
        ("acks_per_s<=5", 5.1, False),
        ("acks_per_s==5", 5.0, True),
        ("acks_per_s!=5", 5.0, False),
    ],
)
def test_a_run_fails_if_it_holds(text: str, value: float, broken: bool) -> None:
    (found,) = check([FigureLimit.parse(text, FIGURES)], {"acks_per_s": value})
    assert (found.value, found.broken) == (value, broken)


def test_what_was_not_measured_was_not_kept() -> None:
    (found,) = check([FigureLimit.parse("rtt_p99_ms>100", FIGURES)], {"rtt_p99_ms": None})
    assert found.broken


def test_a_limit_reads_as_it_was_given() -> None:
    assert str(FigureLimit.parse("rtt_p99_ms > 100.0", FIGURES)) == "rtt_p99_ms>100"
