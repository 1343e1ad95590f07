"""A run over time, in bounded memory."""

from __future__ import annotations

from loadtest.series import POINTS_MAX, Series
from tests.loadtest.makers import sample


def test_generators_are_added_up_by_second() -> None:
    series = Series()
    series.add(sample(0, 3, acks=4, agents=10, spectators=1), measured=True)
    series.add(sample(1, 3, acks=6, agents=20, spectators=2), measured=True)
    ((second, point),) = series.in_order()
    assert second == 3
    assert point.per_s("acks") == 10.0
    assert (sum(point.agents.values()), sum(point.spectators.values())) == (30, 3)


def test_long_runs_keep_their_sums_in_fewer_points() -> None:
    series = Series()
    seconds = 5 * POINTS_MAX
    for second in range(seconds):
        series.add(sample(0, second, acks=2, cpu_s=0.5), measured=second >= POINTS_MAX)
    points = series.in_order()
    assert len(points) <= POINTS_MAX
    assert series.step_s == 8
    assert [start for start, _ in points] == list(range(0, seconds, series.step_s))
    assert sum(point.measures.counts["acks"] for _, point in points) == 2 * seconds
    assert {point.per_s("acks") for _, point in points} == {2.0}
    assert sum(point.cpu_s[0] for _, point in points) == 0.5 * seconds
    assert [start for start, point in points if point.measured] == [s for s, _ in points if s >= POINTS_MAX]


def test_a_point_counts_only_if_all_of_it_does() -> None:
    series = Series()
    series.add(sample(0, 0), measured=True)
    series.add(sample(1, 0), measured=False)
    assert not series.in_order()[0][1].measured
