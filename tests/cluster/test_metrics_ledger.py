from __future__ import annotations

import random

import pytest

from api.exposition import Family, family, single
from cluster.metrics_ledger import Ledger
from cluster.metrics_report import DurationWindow, Report


def report(process: str, incarnation: str, count: float, *, gauge: float = 0.0) -> Report:
    """A process that has counted ``count`` meals in this incarnation."""
    return Report(
        process,
        incarnation,
        [
            family("meals_total", "counter", "Meals.", [({"kind": "late"}, count)]),
            single("guests", "gauge", "Guests.", gauge),
        ],
    )


def meals(ledger: Ledger, *reports: Report) -> float:
    for one in reports:
        ledger.take(one)
    return total(ledger.families(reports), 'meals_total{kind="late"}')


def total(families: list[Family], key: str) -> float:
    return next(one.samples[key] for one in families if key in one.samples)


def test_counters_and_gauges_of_all_processes_are_summed_once() -> None:
    ledger = Ledger()
    reports = [report("shard-0", "a", 3, gauge=1), report("shard-1", "b", 4, gauge=2)]
    assert meals(ledger, *reports) == 7
    assert meals(ledger, *reports) == 7
    assert total(ledger.families(reports), "guests") == 3


def test_a_restarted_process_goes_on_where_it_was_last_heard() -> None:
    ledger = Ledger()
    meals(ledger, report("shard-0", "a", 100), report("shard-1", "b", 50))
    assert meals(ledger, report("shard-0", "c", 0), report("shard-1", "b", 50)) == 150
    assert meals(ledger, report("shard-0", "c", 5), report("shard-1", "b", 51)) == 156
    assert ledger.restarts(["shard", "gateway"]) == {"shard": 1, "gateway": 0}


def test_a_process_that_does_not_answer_keeps_its_share() -> None:
    ledger = Ledger()
    meals(ledger, report("shard-0", "a", 100), report("shard-1", "b", 50))
    assert meals(ledger, report("shard-1", "b", 60)) == 160
    assert total(ledger.families([report("shard-1", "b", 60, gauge=2)]), "guests") == 2


def test_an_orderly_end_is_no_restart_and_counts_once() -> None:
    ledger = Ledger()
    meals(ledger, report("shard-0", "a", 10))
    ledger.all_ended()
    # It is asked once more while it ends.
    assert meals(ledger, report("shard-0", "a", 12)) == 10
    assert meals(ledger, report("shard-0", "b", 1)) == 11
    assert ledger.restarts(["shard"]) == {"shard": 0}


def test_ending_twice_changes_nothing() -> None:
    ledger = Ledger()
    meals(ledger, report("shard-0", "a", 10))
    ledger.ended("shard-0")
    ledger.ended("shard-0")
    ledger.ended("shard-7")
    assert meals(ledger, report("shard-0", "a", 10)) == 10


def test_it_outlives_its_own_process() -> None:
    ledger = Ledger()
    meals(ledger, report("shard-0", "a", 10), report("shard-1", "b", 5))
    again = Ledger.load(ledger.dump())
    # One has been restarted together with the ledger's process, the other has gone on.
    assert meals(again, report("shard-0", "c", 1), report("shard-1", "b", 6)) == 17
    assert again.restarts(["shard"]) == {"shard": 1}


@pytest.mark.parametrize("dumped", [b"", b"{", b"[]", b"1", b'{"accounts": {"a": {"odd": 2}}, "restarts": {}}'])
def test_what_is_no_ledger_is_refused(dumped: bytes) -> None:
    with pytest.raises(ValueError, match="not a ledger"):
        Ledger.load(dumped)


def test_sums_never_fall_whatever_dies() -> None:
    """Prometheus takes a fall for a restart of the whole, and counts the whole sum again."""
    for seed in range(30):
        dice = random.Random(seed)
        ledger = Ledger()
        incarnations, counts, births = ["0", "1", "2"], [0, 0, 0], 3
        before = 0.0
        for _ in range(200):
            which = dice.randrange(3)
            what = dice.choice(["count", "count", "restart", "ledger", "ask", "ask", "end"])
            if what == "count":
                counts[which] += dice.randrange(100)
            elif what == "restart":
                births += 1
                incarnations[which], counts[which] = str(births), 0
            elif what == "ledger":
                ledger = Ledger.load(ledger.dump())
            elif what == "end":
                ledger.ended(f"shard-{which}")
            else:
                heard = [n for n in range(3) if dice.random() < 0.7] or [0]
                now = meals(ledger, *(report(f"shard-{n}", incarnations[n], counts[n]) for n in heard))
                assert now >= before, f"seed {seed}"
                before = now


def test_quantiles_are_of_all_processes_together() -> None:
    ledger = Ledger()
    quick = Report("shard-0", "a", [], [DurationWindow("tick_ms", "Ticks.", 99, 99.0, [1.0] * 99)])
    slow = Report("shard-1", "b", [], [DurationWindow("tick_ms", "Ticks.", 2, 1000.0, [500.0] * 2)])
    for one in (quick, slow):
        ledger.take(one)
    families = ledger.families([quick, slow])
    assert total(families, 'tick_ms{quantile="0.5"}') == 1
    assert total(families, 'tick_ms{quantile="0.99"}') == 500
    assert (total(families, "tick_ms_count"), total(families, "tick_ms_sum")) == (101, 1099)


def test_no_values_are_no_quantile() -> None:
    ledger = Ledger()
    empty = Report("shard-0", "a", [], [DurationWindow("tick_ms", "Ticks.", 0, 0.0, [])])
    ledger.take(empty)
    value = total(ledger.families([empty]), 'tick_ms{quantile="0.5"}')
    assert value != value


def test_a_family_that_nobody_has_now_is_left_out() -> None:
    ledger = Ledger()
    meals(ledger, report("shard-0", "a", 10))
    other = Report("gateway-0", "g", [single("doors_total", "counter", "Doors.", 1)])
    ledger.take(other)
    assert [one.name for one in ledger.families([other])] == ["doors_total"]
