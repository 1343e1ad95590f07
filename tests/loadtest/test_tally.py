"""Samples added up."""

from __future__ import annotations

from loadtest.switchboard import Orders
from loadtest.tally import RECENT_S, Tally
from tests.loadtest.makers import sample


def test_only_measured_seconds_are_measured() -> None:
    tally = Tally(1)
    for second in range(10):
        tally.add(sample(0, second, acks=1, cpu_s=0.5, proof_s=0.1, machine_cpu=0.8), Orders(3, 7))
    assert (tally.whole.counts["acks"], tally.measured.counts["acks"]) == (10, 4)
    assert tally.measured_s == 4.0
    generator = tally.generators[0]
    assert (generator.cpu_share, round(generator.machine_cpu, 6), round(generator.proof_s, 6)) == (0.5, 0.8, 0.4)


def test_what_generators_say_last_is_what_is() -> None:
    tally = Tally(2)
    assert not tally.all_in("ready")
    tally.add(sample(0, 1, agents=5, spectators=1, running=2), Orders())
    tally.add(sample(1, 2, "ramp", agents=7, running=1), Orders())
    assert (tally.agents, tally.spectators, tally.running, tally.second) == (12, 1, 3, 2)
    assert not tally.all_in("ready")
    tally.add(sample(1, 3, "drained"), Orders())
    assert tally.all_in("ready", "drained")


def test_recent_is_the_last_seconds_of_all() -> None:
    tally = Tally(2)
    for second in range(20):
        for task in range(2):
            tally.add(sample(task, second, acks=3), Orders())
    recent, seconds = tally.recent()
    assert seconds == RECENT_S
    assert recent.counts["acks"] == 2 * 3 * RECENT_S


def test_lateness_makes_the_verdict() -> None:
    tally = Tally(1)
    late = sample(0, 0)
    for _ in range(20):
        late.measures.times["lag"].record(0.2)
    tally.add(late, Orders(0))
    assert tally.generators[0].verdict == "starved"
