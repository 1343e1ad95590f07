"""The figures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadtest.figures import FAILURES, FIGURES, REFUSALS, figures_of
from loadtest.mailbox import Orders
from loadtest.measures import Sample
from loadtest.totals import Totals
from tests.loadtest.makers import sample

ROOT = Path(__file__).parents[2]


def tallied(*samples: Sample, orders: Orders | None = None) -> Totals:
    totals = Totals(2)
    for one in samples:
        totals.add(one, orders or Orders(0))
    return totals


def test_every_figure_is_described_and_every_description_has_one() -> None:
    assert set(figures_of(tallied(sample()), generators_failed=0)) == set(FIGURES)


def test_the_contracts_reasons_are_all_there() -> None:
    contract = (ROOT / "docs" / "protocol.md").read_text()
    listed = contract.partition("Reasons in `command_ack`:")[2].partition(";")[0]
    assert {f"`{reason}`" for reason in REFUSALS} == {word.strip(" \n,") for word in listed.split(",")}
    assert all(f"failed({reason})" in contract for reason in FAILURES)


def test_rates_and_shares() -> None:
    counts: dict[str, Any] = {
        "acks": 30,
        "results": 20,
        "refusals": 10,
        "refused__busy": 10,
        "failed__blocked": 5,
        "deliveries": 400,
    }
    found = figures_of(tallied(sample(0, 0, **counts), sample(1, 0, **counts)), generators_failed=1)
    assert found["acks_per_s"] == 60.0
    assert found["deliveries_per_s"] == 800.0
    assert found["refused_share"] == 0.25
    assert found["failed_share"] == 0.25
    assert (found["refused_busy"], found["refused_too_far"], found["failed_blocked"]) == (20, 0, 10)
    assert found["generators_failed"] == 1


def test_times_are_milliseconds() -> None:
    found = figures_of(tallied(sample(rtt_s=(0.010,) * 99 + (0.5,))), generators_failed=0)
    assert found["rtt_max_ms"] == 500.0
    assert found["rtt_p50_ms"] is not None
    assert 9.8 < found["rtt_p50_ms"] < 10.2
    assert found["resume_p99_ms"] is None


def test_commands_of_the_ramp_are_owed_results_too() -> None:
    ramp, end = sample(0, 0, acks=7, given_up=2, results_twice=1), sample(0, 5, "drained", results=6)
    found = figures_of(tallied(ramp, end, orders=Orders(2, 4)), generators_failed=0)
    assert (found["results_missing"], found["given_up"], found["results_twice"]) == (1, 2, 1)
    assert found["acks_per_s"] is None, "nothing was measured"


def test_connections_are_those_of_the_measured_seconds() -> None:
    seconds = [sample(0, n, agents=agents, spectators=2) for n, agents in enumerate((1, 9, 4, 8, 0))]
    found = figures_of(tallied(*seconds, orders=Orders(1, 4)), generators_failed=0)
    assert (found["agents"], found["agents_min"], found["spectators"]) == (8, 4, 2)


def test_joins_a_second_are_of_the_ramp_alone() -> None:
    seconds = [sample(0, 0, "ramp", joins=30, joined_s=0.9), sample(0, 1, "ramp", joins=10, joined_s=1.5)]
    found = figures_of(tallied(*seconds, sample(1, 1, joins=20, joined_s=2.0), sample(0, 9)), generators_failed=0)
    assert found["joins_per_s"] == 30.0
    assert figures_of(tallied(sample()), generators_failed=0)["joins_per_s"] is None
