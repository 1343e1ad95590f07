"""A report beside an earlier one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from loadtest import earlier as earlier_module
from loadtest.earlier import BadReport, compared, read_report
from tests.loadtest.server_pages import readings
from tests.loadtest.test_report import report


def then_and_now() -> tuple[dict[str, Any], dict[str, Any]]:
    return report(readings=readings(10, {"shard-0": 0.5})), report(readings=readings(10, {"gateway-0": 0.25}))


def row(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = (row for row in found["figures"] if row["name"] == name)
    return dict(one)


def test_figures_stand_side_by_side_with_what_to_think_of_it() -> None:
    then, now = then_and_now()
    then["figures"] |= {"rtt_p99_ms": 100.0, "acks_per_s": 50.0, "resyncs": 0, "rtt_p50_ms": 10.0}
    now["figures"] |= {"rtt_p99_ms": 150.0, "acks_per_s": 75.0, "resyncs": 3, "rtt_p50_ms": 10.5}
    found = compared(now, then)
    assert row(found, "rtt_p99_ms") | {"change": 0.5, "word": "worse"} == row(found, "rtt_p99_ms")
    assert row(found, "acks_per_s")["word"] == "better"
    assert row(found, "rtt_p50_ms")["word"] == "same"
    assert (row(found, "resyncs")["change"], row(found, "resyncs")["word"]) == (None, "worse")
    assert found["cores"] == [
        {"name": "gateway-0", "then": None, "now": 0.25},
        {"name": "shard-0", "then": 0.5, "now": None},
    ]


def test_what_was_asked_for_otherwise_is_told_but_not_the_seed() -> None:
    then, now = then_and_now()
    then["asked"] |= {"agents": 5, "seed": 99}
    assert compared(now, then)["asked_otherwise"] == {"agents": [5, 10]}


def test_both_curves_begin_to_measure_together() -> None:
    then, now = then_and_now()
    series = then["series"]
    series["second"] = [second + 7 for second in series["second"]]
    series["rtt_p99_ms"] = [float(number) for number in range(10)]
    assert compared(now, then)["series"]["rtt_p99_ms"] == series["rtt_p99_ms"]
    series["measured"] = [False] * 5 + [True] * 5
    assert compared(now, then)["series"]["rtt_p99_ms"] == [*series["rtt_p99_ms"][3:], None, None, None]


def test_steps_of_different_lengths_are_laid_over_each_other() -> None:
    then, now = then_and_now()
    series = then["series"]
    for name in ("second", "measured", *earlier_module.CURVES):
        series[name] = series[name][::2]
    series["step_s"] = 2
    series["rtt_p50_ms"] = [0.0, 2.0, 4.0, 6.0, 8.0]
    assert compared(now, then)["series"]["rtt_p50_ms"] == [0.0, 0.0, 2.0, 2.0, 4.0, 4.0, 6.0, 6.0, 8.0, 8.0]


def test_a_report_without_the_servers_side_can_be_compared() -> None:
    then, now = then_and_now()
    del then["server_side"], then["bottleneck"]
    assert [one["then"] for one in compared(now, then)["cores"]] == [None]


def test_it_is_read_from_its_directory_or_file(tmp_path: Path) -> None:
    made = report()
    (tmp_path / "report.json").write_text(json.dumps(made))
    assert read_report(tmp_path) == read_report(tmp_path / "report.json") == made


def broken(**changes: Any) -> str:
    made = copy.deepcopy(report())
    made["series"] |= changes
    return json.dumps(made)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "is no report"),
        (json.dumps({"figures": {}, "asked": {}, "series": {}}), "is no report"),
        (broken(rtt_p99_ms=["<script>"] * 10), "is no report"),
        (broken(rtt_p99_ms=[1.0]), "is no report"),
        (broken(second=None), "is no report"),
        ("x" * 20_000, "too large"),
    ],
)
def test_what_is_no_report(text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier_module, "REPORT_MOST_BYTES", 200_000 if says != "too large" else 10_000)
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(BadReport, match=says):
        read_report(tmp_path)


def test_nothing_there_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(BadReport, match="can't be read: no such file"):
        read_report(tmp_path)
