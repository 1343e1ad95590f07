"""Times in growing buckets: quantiles near enough, memory bounded, merging exact."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import Histogram

NEAR = 0.017


def of(times: list[float]) -> Histogram:
    histogram = Histogram()
    for seconds in times:
        histogram.record(seconds)
    return histogram


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_are_within_two_percent(share: float) -> None:
    rng = random.Random(4)
    times = sorted(rng.lognormvariate(-5, 2) for _ in range(20_001))
    exact = times[min(len(times) - 1, max(0, round(share * len(times)) - 1))]
    found = of(times).quantile(share)
    assert found is not None
    assert abs(found - exact) <= exact * 0.02 + 1e-6


@given(st.floats(0, 60_000))
def test_a_single_time_comes_back(seconds: float) -> None:
    histogram = of([seconds])
    found = histogram.quantile(0.5)
    assert found is not None
    assert abs(found - seconds) <= seconds * NEAR + 1e-6
    assert found <= histogram.max_s == seconds


@given(st.lists(st.floats(0, 1e9)), st.lists(st.floats(0, 1e9)))
def test_merged_is_as_if_recorded_together(one: list[float], other: list[float]) -> None:
    merged, together = of(one), of(one + other)
    merged.merge(of(other))
    assert merged.counts == together.counts
    assert (merged.count, merged.max_s) == (together.count, together.max_s)


def test_memory_is_bounded_whatever_comes() -> None:
    histogram = of([2**exponent * (1 + step / 64) * 1e-6 for exponent in range(-4, 64) for step in range(64)])
    assert len(histogram.counts) <= 1_088


def test_nothing_measured_is_nothing() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None


def test_a_clock_that_was_set_back_counts_as_zero() -> None:
    histogram = of([-1.0])
    assert histogram.quantile(1.0) == 0.0
    assert histogram.count == 1


def test_the_mean_is_exact() -> None:
    assert of([0.1, 0.2, 0.6]).mean == pytest.approx(0.3)
