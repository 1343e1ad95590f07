"""Samples added up."""

from __future__ import annotations

from loadtest.mailbox import Orders
from loadtest.totals import RECENT_S, Totals
from tests.loadtest.makers import sample


def test_only_measured_seconds_are_measured() -> None:
    totals = Totals(1)
    for second in range(10):
        totals.add(sample(0, second, acks=1, cpu_s=0.5, proof_s=0.1, machine_cpu=0.8), Orders(3, 7))
    assert (totals.whole.counts["acks"], totals.measured.counts["acks"]) == (10, 4)
    assert totals.measured_s == 4.0
    generator = totals.generators[0]
    assert (generator.cpu_share, round(generator.machine_cpu, 6), round(generator.proof_s, 6)) == (0.5, 0.8, 0.4)


def test_what_generators_say_last_is_what_is() -> None:
    totals = Totals(2)
    assert not totals.all_in("ready")
    totals.add(sample(0, 1, agents=5, spectators=1, running=2), Orders())
    totals.add(sample(1, 2, "ramp", agents=7, running=1), Orders())
    assert (totals.agents, totals.spectators, totals.running, totals.second) == (12, 1, 3, 2)
    assert not totals.all_in("ready")
    totals.add(sample(1, 3, "drained"), Orders())
    assert totals.all_in("ready", "drained")


def test_recent_is_the_last_seconds_of_all() -> None:
    totals = Totals(2)
    for second in range(20):
        for task in range(2):
            totals.add(sample(task, second, acks=3), Orders())
    recent, seconds = totals.recent()
    assert seconds == RECENT_S
    assert recent.counts["acks"] == 2 * 3 * RECENT_S


def test_lateness_makes_the_verdict() -> None:
    totals = Totals(1)
    late = sample(0, 0)
    for _ in range(20):
        late.measures.times["lag"].record(0.2)
    totals.add(late, Orders(0))
    assert totals.generators[0].verdict == "starved"
