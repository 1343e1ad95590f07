"""The report as data and as text."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from loadtest.figures import FIGURES
from loadtest.limits import FigureLimit
from loadtest.losses import EventLogCounts
from loadtest.mailbox import Orders
from loadtest.report import Facts, build, differences_text, verdict_text
from loadtest.report_text import print_report
from loadtest.server_counts import Comparison
from loadtest.totals import Totals
from tests.loadtest.makers import plan, sample
from tests.loadtest.server_pages import readings


def totals(*, lag_s: float = 0.001, cpu_s: float = 0.2) -> Totals:
    made = Totals(2)
    for second in range(10):
        for task in range(2):
            counts: dict[str, Any] = {
                "acks": 5,
                "results": 5,
                "refusals": 1,
                "refused__busy": 1,
                "agent_deliveries": 25,
            }
            one = sample(task, second, rtt_s=(0.01, 0.02), cpu_s=cpu_s, agents=5, **counts)
            one.measures.times["lag"].record(lag_s)
            made.add(one, Orders(2, 8))
    return made


def report(limits: tuple[str, ...] = (), **facts: Any) -> dict[str, Any]:
    known = Facts("2026-11-25T08:00:00+00:00", None, **facts)
    return build(plan(), totals(), known, [FigureLimit.parse(text, FIGURES) for text in limits])


def printed(made: dict[str, Any]) -> str:
    out = io.StringIO()
    print_report(Console(file=out, width=200, color_system=None), made)
    return out.getvalue()


def test_it_is_json_without_secrets() -> None:
    made = build(plan(api_key="dcw_secret"), totals(), Facts("now", None), [])
    text = json.dumps(made)
    assert json.loads(text) == made
    assert "dcw_secret" not in text


def test_the_series_are_columns_of_one_length() -> None:
    series = report()["series"]
    columns = [values for values in series.values() if isinstance(values, list)]
    columns += [*series["refused_per_s"].values(), *series["cpu_share"].values()]
    assert {len(column) for column in columns} == {10}
    assert series["refused_per_s"] == {"busy": [2.0] * 10}
    assert series["measured"] == [False, False, *([True] * 6), False, False]


@pytest.mark.parametrize(
    ("limits", "facts", "ok"),
    [
        ((), {}, True),
        (("rtt_p99_ms>100",), {}, True),
        (("rtt_p99_ms>5",), {}, False),
        (("resume_p99_ms>5",), {}, False),
        ((), {"interrupted": True}, False),
        ((), {"failures": ["OSError: x"]}, False),
    ],
)
def test_when_it_is_ok(limits: tuple[str, ...], facts: dict[str, Any], ok: bool) -> None:
    assert report(limits, **facts)["ok"] is ok


def test_the_verdict_names_who_was_the_bottleneck() -> None:
    assert "the figures are the server's" in verdict_text(totals())
    assert "2 of 2 generators used their whole processor" in verdict_text(totals(cpu_s=0.95))
    assert "2 of 2 generators had to wait for a processor" in verdict_text(totals(lag_s=0.08))
    assert "80.0 ms (p99)" in verdict_text(totals(lag_s=0.08))
    assert "Nothing was measured" in verdict_text(Totals(1))


def test_differences_to_the_server_are_explained() -> None:
    assert differences_text([Comparison("acks", 100, 100)]) == ""
    more = [Comparison("acks", 100, 101), Comparison("agents", 10, 16), Comparison("results", 9, 9)]
    assert differences_text(more).startswith("The server counts more acks and agents: whoever else was there")
    assert "--no-demo" in printed(report(server=more))
    assert differences_text([Comparison("acks", 3, 1)]).startswith("The server counts fewer acks: an actor that was")


def test_the_terminal_shows_what_matters() -> None:
    server = [Comparison("acks", 100, 101)]
    text = printed(report(("rtt_p99_ms>5", "results_missing>0"), server=server, failures=["OSError: gone"]))
    for wanted in (
        "wander: 10 agents, 5 spectators, 2 generators, 6 s measured",
        "refused                busy 12",
        "acks 100 / 101",
        "BROKEN fail if rtt_p99_ms>5: is 20",
        "kept   fail if results_missing>0: is 0",
        "A generator failed: OSError: gone",
    ):
        assert wanted in text, text


def test_the_servers_side_and_the_bottleneck_are_told() -> None:
    text = printed(report(server_trouble="/metrics wants a token"))
    assert "The server's own figures are missing: /metrics wants a token." in text
    assert "Bottleneck: Not known: /metrics wants a token." in text
    cores = {"shard-0": 0.97, "gateway-0": 0.2}
    made = report(readings=readings(10, cores), event_log=EventLogCounts(9, 9, 0, 0, 0, 0))
    assert (made["bottleneck"]["where"], made["bottleneck"]["name"]) == ("process", "shard-0")
    text = printed(made)
    assert "Of a processor: shard-0 97%, gateway-0 20%." in text
    assert "Bottleneck: shard-0: its processor is full." in text
    assert "Event log: each of 9 facts is in it, once." in text


def test_an_interrupted_run_says_so() -> None:
    assert "Interrupted" in printed(report(interrupted=True))


def test_nothing_measured_prints_too() -> None:
    made = build(plan(), Totals(1), Facts("now", None, interrupted=True), [])
    assert "0 s measured" in printed(made)
