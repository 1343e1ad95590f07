"""What two looks at a page say about the time between them."""

from __future__ import annotations

import pytest

from loadtest.server_page import ServerPage
from loadtest.server_reading import READINGS_MAX, Durations, Reading, between, reading_of, steps_of, thinned
from tests.loadtest.server_pages import page_text, readings


def test_a_step_has_rates_and_the_times_of_its_own() -> None:
    first = page_text(
        100.0,
        {"shard-0": 5.0, "shard-1": 7.0, "gateway-0": 3.0},
        servers={"redis": 1.0, "postgresql": 2.0},
        waits={"shard-0": 0.5},
        ticks=[0.3] * 50,
    )
    later = page_text(
        104.0,
        {"shard-0": 6.0, "shard-1": 9.0, "gateway-0": 3.4},
        servers={"redis": 1.8, "postgresql": 2.2},
        waits={"shard-0": 0.9},
        ticks=[0.3] * 50 + [0.04] * 40,
        queues={"commands_waiting": 12},
    )
    step = between(*(reading_of(ServerPage(text), second, 0.0) for second, text in ((8.0, first), (12.1, later))))
    assert step is not None
    assert (step.second, step.seconds) == (12.1, 4.0)
    assert step.by_kind() == pytest.approx({"shard": 0.75, "gateway": 0.1, "Valkey": 0.2, "PostgreSQL": 0.05})
    assert step.waits == pytest.approx({"shard-0": 0.1})
    assert step.tick.count == 40, "the fifty slow ones were before"
    assert step.tick.mean_ms == pytest.approx(40)
    slow = step.tick.quantile_ms(0.99)
    assert slow is not None
    assert 10 <= slow <= 50, "in the bucket from 10 to 50 ms"
    assert step.queues == {"commands undecided": 12}
    assert step.tick_interval_ms == pytest.approx(200)


def test_quantiles_lie_within_their_bucket() -> None:
    durations = Durations(100, 1.0, ((0.01, 50), (0.02, 90), (0.05, 100), (float("inf"), 100)))
    assert durations.quantile_ms(0.5) == pytest.approx(10)
    assert durations.quantile_ms(0.7) == pytest.approx(15)
    assert durations.quantile_ms(0.99) == pytest.approx(47)
    assert Durations(2, 9.0, ((0.01, 1), (float("inf"), 2))).quantile_ms(0.99) == 10, "as much as is known"
    assert Durations().quantile_ms(0.5) is None
    assert Durations().mean_ms is None


def test_who_began_anew_or_is_new_is_left_out_of_a_step() -> None:
    earlier = Reading(0.0, 0.0, cpu_s={"Valkey": 9.0, "gateway-0": 1.0})
    step = between(earlier, Reading(2.0, 2.0, cpu_s={"Valkey": 0.5, "gateway-0": 2.0, "gateway-1": 1.0}))
    assert step is not None
    assert step.cores == {"gateway-0": 0.5}


def test_the_same_page_twice_is_no_step() -> None:
    once = Reading(0.0, 50.0)
    again = Reading(2.0, 50.0)
    later = Reading(4.0, 54.0)
    assert between(once, again) is None
    assert [step.second for step in steps_of([once, again, later])] == [4.0]


def test_a_long_run_keeps_few_readings_and_the_same_sums() -> None:
    many = readings(2 * READINGS_MAX, {"shard-0": 0.5}, every=2)
    assert len(many) == READINGS_MAX + 1
    few = thinned(many)
    assert len(few) <= READINGS_MAX
    assert (few[0], few[-1]) == (many[0], many[-1])
    assert {round(step.cores["shard-0"], 6) for step in steps_of(few)} == {0.5}
