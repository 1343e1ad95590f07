"""The command ``load`` without a server: options, exit codes, files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chunkcrawl.errors import ServerUnreachable
from cli.load import app
from loadtest import run as run_module
from loadtest.figures import FIGURES
from loadtest.ray_generators import GeneratorsError
from tests.loadtest.test_report import report

NOBODY = "http://127.0.0.1:1"


def invoke(*words: str, **environment: str | None) -> tuple[int, str, str]:
    env = {"CHUNKCRAWL_API_KEY": None, "CHUNKCRAWL_BASE": None, "COLUMNS": "200"} | environment
    result = CliRunner().invoke(app, list(words), env=env)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Runs nothing, keeps what was asked for, and reports on some run or other; append to it to change the report."""
    calls: list[Any] = []

    async def run_load(plan: Any, screen: Any, **options: Any) -> dict[str, Any]:
        calls.append((plan, options))
        return report(tuple(map(str, options["limits"])))

    async def run_search(plan: Any, screen: Any, condition: Any, **options: Any) -> dict[str, Any]:
        calls.append((plan, options | {"condition": str(condition)}))
        search = {"condition": str(condition), "agents": 50, "fails_at": 60, "reason": "With 50 it held.", "runs": []}
        return report() | {"search": search | {"stopped": False}}

    monkeypatch.setattr(run_module, "run_load", run_load)
    monkeypatch.setattr(run_module, "run_search", run_search)
    return calls


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--agents", "0"), "at least one"),
        (("--agents", "-1"), "--agents"),
        (("--tasks", "0"), "auto, or 1 to"),
        (("--tasks", "many"), "auto, or 1 to"),
        (("--scenario", "dance"), "wander"),
        (("--fail-if", "rtt_p99_ms"), "looks like"),
        (("--fail-if", "rtt_p98_ms>1"), "did you mean"),
        (("--base", "world"), "http://"),
        (("--duration", "0"), "--duration"),
        (("--find-limit", "rtt_p99_ms"), "looks like"),
        (("--find-limit", "rtt_p98_ms<1"), "tick_gap_p99_ms"),
        (("--find-limit", "rtt_p99_ms<1", "--fail-if", "rtt_p99_ms>1"), "not both"),
        (("--find-limit", "rtt_p99_ms<1", "--agents", "0", "--spectators", "1"), "agents to begin with"),
        (("--find-limit", "rtt_p99_ms<1", "--ramp", "3"), "its own ramp"),
        (("--compare", "/nowhere/at/all"), "can't be read"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], says: str, asked: list[Any]) -> None:
    code, _, errors = invoke(*words)
    assert code == 2
    assert says in errors
    assert asked == []


def test_the_figures_are_listed() -> None:
    code, output, _ = invoke("--figures")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == list(FIGURES)


def test_what_is_asked_for_arrives(asked: list[Any]) -> None:
    words = (
        "--agents",
        "7",
        "--spectators",
        "3",
        "--duration",
        "9",
        "--scenario",
        "cross",
        "--seed",
        "5",
        "--tasks",
        "2",
    )
    code, _, errors = invoke(
        *words, "--address", "head:6379", CHUNKCRAWL_API_KEY="dcw_k", CHUNKCRAWL_METRICS_TOKEN="tok"
    )
    assert code == 0, errors
    ((plan, options),) = asked
    assert (plan.agents, plan.spectators, plan.duration_s, plan.scenario, plan.seed) == (7, 3, 9, "cross", 5)
    assert (plan.api_key, plan.ramp_s) == ("dcw_k", 2.0)
    assert (options["tasks"], options["address"], options["metrics_token"]) == (2, "head:6379", "tok")


def test_side_by_side_instead_of_a_ramp(asked: list[Any]) -> None:
    assert invoke("--side-by-side", "32")[0] == 0
    assert (asked[0][0].side_by_side, asked[0][0].ramp_s) == (32, 0.0)
    code, _, errors = invoke("--side-by-side", "32", "--ramp", "5")
    assert code == 2
    assert "not both" in errors


def test_by_default_it_joins_nothing_and_fits_the_tasks(asked: list[Any]) -> None:
    assert invoke()[0] == 0
    assert (asked[0][1]["tasks"], asked[0][1]["address"]) == (None, None)


def test_two_runs_have_names_of_their_own(asked: list[Any]) -> None:
    invoke("--seed", "1")
    invoke("--seed", "1")
    assert asked[0][0].run_id != asked[1][0].run_id


def test_files_and_exit_code_of_a_broken_limit(asked: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    code, output, _ = invoke("--fail-if", "rtt_p99_ms>5", "--fail-if", "acks_per_s<1", "--out", str(out))
    assert code == 1
    assert "BROKEN fail if rtt_p99_ms>5" in output
    assert "kept   fail if acks_per_s<1" in output
    kept = json.loads((out / "report.json").read_text())
    assert [limit["broken"] for limit in kept["limits"]] == [True, False]
    assert (out / "report.html").read_text().startswith("<!doctype html>")


def test_a_search_is_told_of(asked: list[Any]) -> None:
    words = ("--find-limit", "rtt_p99_ms<100 and tick_gap_p99_ms<300", "--agents", "50", "--most-agents", "900")
    code, output, errors = invoke(*words)
    assert code == 0, errors
    ((plan, options),) = asked
    assert (plan.agents, options["most"]) == (50, 900)
    assert options["condition"] == "rtt_p99_ms<100 and tick_gap_p99_ms<300"
    assert "With 50 it held." in output


def test_an_earlier_report_stands_beside(asked: list[Any], tmp_path: Path) -> None:
    assert invoke("--out", str(tmp_path / "before"))[0] == 0
    code, output, errors = invoke("--compare", str(tmp_path / "before"), "--out", str(tmp_path / "after"))
    assert code == 0, errors
    assert re.search(r"rtt_p99_ms +20.* +20.* same", output)
    assert json.loads((tmp_path / "after" / "report.json").read_text())["compared"]["asked_otherwise"] == {}
    assert "Beside an earlier run" in (tmp_path / "after" / "report.html").read_text()


def test_json_is_all_that_is_printed(asked: list[Any]) -> None:
    code, output, _ = invoke("--json")
    assert code == 0
    assert json.loads(output)["figures"]["acks_per_s"] == 10.0


def test_a_directory_that_cannot_be_written_is_told_before(asked: list[Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, errors = invoke("--out", str(tmp_path / "file"))
    assert code == 2
    assert "error:" in errors
    assert asked == []


def test_an_interrupted_run_reports_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_load(*_: Any, **__: Any) -> dict[str, Any]:
        return report(interrupted=True)

    monkeypatch.setattr(run_module, "run_load", run_load)
    code, output, _ = invoke()
    assert code == 130
    assert "Interrupted" in output


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (ServerUnreachable("x"), 3, "server_unreachable"),
        (GeneratorsError("all dead"), 1, "load_failed"),
        (ConnectionError("no ray"), 3, "no_ray_cluster"),
        (KeyboardInterrupt(), 130, None),
    ],
)
def test_what_goes_wrong(error: BaseException, code: int, reason: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_load(*_: Any, **__: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(run_module, "run_load", run_load)
    found, output, errors = invoke("--json")
    assert (found, output) == (code, "")
    if reason is not None:
        assert json.loads(errors)["error"] == reason


def test_nobody_at_the_address() -> None:
    code, _, errors = invoke("--base", NOBODY)
    assert code == 3
    assert "127.0.0.1:1" in errors
