"""The server's own counts, read from its metrics page."""

from __future__ import annotations

from loadtest.server_counts import compare, counts_of
from loadtest.server_page import ServerPage

PAGE = """
# TYPE commands_decided_total counter
commands_decided_total{accepted="true"} 12
commands_decided_total{accepted="false"} 3
# TYPE commands_refused_total counter
commands_refused_total{reason="busy"} 2
commands_refused_total{reason="rate_limited"} 1
# TYPE challenge_answer_invalid_total counter
challenge_answer_invalid_total{check="expired"} 1
# TYPE command_completed_total counter
command_completed_total 8
# TYPE command_failed_total counter
command_failed_total{reason="blocked"} 3
command_failed_total{reason="depleted"} 1
# TYPE agent_connections gauge
agent_connections 4
# TYPE spectator_connections gauge
spectator_connections 5
"""


def test_a_page_is_summed() -> None:
    assert counts_of(ServerPage(PAGE)) == {"acks": 12, "results": 12, "refusals": 7, "agents": 4, "spectators": 5}


def test_counters_that_never_counted_are_zero() -> None:
    assert counts_of(ServerPage("agent_connections 0\n")) == {
        "acks": 0,
        "results": 0,
        "refusals": 0,
        "agents": 0,
        "spectators": 0,
    }


def test_differences_are_compared() -> None:
    before = {"acks": 10.0, "results": 9.0, "refusals": 0.0, "agents": 1.0, "spectators": 0.0}
    after = {"acks": 25.0, "results": 24.0, "refusals": 2.0, "agents": 6.0, "spectators": 3.0}
    found = compare(before, after, {"acks": 15.0, "agents": 4.0})
    assert [(one.name, one.ours, one.servers) for one in found] == [("acks", 15.0, 15.0), ("agents", 4.0, 5.0)]
