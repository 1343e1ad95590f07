"""Counts by name, with what a server calls things kept in bounds."""

from __future__ import annotations

import pickle

import pytest

from loadtest.measures import NAMES_MAX, Measures, Sample


def test_groups_come_back_the_most_frequent_first() -> None:
    measures = Measures()
    for reason in ("busy", "unreachable", "unreachable", "busy", "unreachable", "too_far"):
        measures.count_as("refused", reason)
    measures.counts["refusals"] += 6
    assert list(measures.of_group("refused").items()) == [("unreachable", 3), ("busy", 2), ("too_far", 1)]


@pytest.mark.parametrize("part", ["<b>", "a b", "", "x" * 41, "\n", "réason", "a:b"])
def test_what_is_no_name_is_other(part: str) -> None:
    measures = Measures()
    measures.count_as("refused", part)
    assert measures.of_group("refused") == {"other": 1}


def test_numbers_and_nothing_are_names() -> None:
    measures = Measures()
    measures.count_as("closed", 4002)
    measures.count_as("completed", None)
    assert (measures.of_group("closed"), measures.of_group("completed")) == ({"4002": 1}, {"none": 1})


def test_a_server_that_makes_up_reasons_fills_no_memory() -> None:
    measures = Measures()
    for number in range(10 * NAMES_MAX):
        measures.count_as("refused", f"reason_{number}")
    assert len(measures.counts) <= NAMES_MAX + 1
    assert sum(measures.of_group("refused").values()) == 10 * NAMES_MAX


def test_merging_adds() -> None:
    one, other = Measures(), Measures()
    one.counts["acks"], other.counts["acks"] = 2, 3
    other.times["rtt"].record(0.5)
    one.merge(other)
    assert (one.counts["acks"], one.times["rtt"].count) == (5, 1)


def test_a_sample_travels() -> None:
    sample = Sample(1, 2, 1.0, "ready", Measures(), agents=3)
    sample.measures.times["rtt"].record(0.01)
    sample.measures.count_as("refused", "busy")
    assert pickle.loads(pickle.dumps(sample)) == sample
