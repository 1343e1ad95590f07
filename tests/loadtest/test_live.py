"""``chunkcrawl load`` as its users start it: Ray, a running world, counts that both sides agree on."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from chunkcrawl.embedded import EmbeddedWorld

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
RAY_SERVERS = {"raylet", "gcs_server"}
SOMEBODYS_RAY = """
import ray, sys, tempfile
with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as directory:
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, _temp_dir=directory)
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()
"""


def command(world: EmbeddedWorld, words: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "chunkcrawl.commands.main",
        "load",
        "--base",
        world.base,
        "--json",
        *shlex.split(words),
    ]


def load(world: EmbeddedWorld, words: str, code: int = 0, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run it to its end; returns the report."""
    done = subprocess.run(command(world, words), capture_output=True, text=True, timeout=290, cwd=ROOT, env=environment)
    assert done.returncode == code, done.stderr[-3000:] + done.stdout[:500]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def agrees(report: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """What was counted here and there."""
    assert report["server"] is not None
    return {one["name"]: (one["ours"], one["servers"]) for one in report["server"]}


def test_counts_are_the_servers_own(world: EmbeddedWorld, tmp_path: Path) -> None:
    limits = "--fail-if 'results_missing>0' --fail-if 'acks_per_s<1'"
    words = "--agents 24 --spectators 8 --duration 4 --ramp 1 --scenario crowd --tasks 2 --seed 3 --think 0.5"
    report = load(world, f"{words} --out {tmp_path} {limits}")
    assert [limit["broken"] for limit in report["limits"]] == [False, False]
    counted = agrees(report)
    assert all(ours == servers for ours, servers in counted.values()), counted
    assert (counted["agents"], counted["spectators"]) == ((24, 24), (8, 8))
    assert counted["acks"][0] >= 24
    assert counted["results"] == counted["acks"]
    assert len(report["generators"]) == 2
    assert json.loads((tmp_path / "report.json").read_text()) == report
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 11
    assert report["server_side"]["why_not"] == ""
    assert {"gateway", "shard", "coordinator", "archiver", "Valkey", "PostgreSQL"} == set(
        report["server_side"]["cores"]
    )
    assert report["event_log"]["facts"] >= 24, "each agent has joined"
    assert "it, once" in report["event_log_text"], report["event_log_text"]
    assert report["verdict"].split("(")[0] in page
    print(f"report: {tmp_path / 'report.html'}")


@pytest.mark.slow
def test_a_capacity_is_found_and_told_with_its_reason(world: EmbeddedWorld, tmp_path: Path) -> None:
    """Small, and with a condition that does not depend on how fast the machine is."""
    words = f"--agents 2 --duration 2 --tasks 1 --think 0.5 --out {tmp_path}"
    report = load(world, f"{words} --find-limit 'agents<4 and results_missing==0'")
    search = report["search"]
    tried = [(run["agents"], run["held"]) for run in search["runs"]]
    assert tried == [(2, True), (4, False), (4, False), (3, True), (3, True)]
    assert (search["agents"], search["fails_at"], report["asked"]["agents"]) == (3, 4, 3)
    assert search["reason"].startswith(
        "With 3 agents the condition held in 2 runs. With 4 it failed in 2 runs: agents was"
    )
    assert "3 agents carried" in (tmp_path / "report.html").read_text()
    print(search["reason"])


@pytest.mark.slow
def test_an_interrupted_search_reports_what_it_knows(world: EmbeddedWorld, tmp_path: Path) -> None:
    words = f"--agents 4 --duration 2 --tasks 1 --out {tmp_path} --find-limit 'results_missing==0'"
    running = subprocess.Popen(
        command(world, words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("Run 2: 8 agents ..."):
            break
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=90)
    assert running.returncode == 130, errors
    search = json.loads(output)["search"]
    assert (search["agents"], search["stopped"]) == (4, True)
    assert search["reason"].endswith("It was interrupted.")
    assert json.loads((tmp_path / "report.json").read_text())["search"] == search


@pytest.mark.slow
def test_five_hundred_agents_from_two_tasks(world: EmbeddedWorld) -> None:
    limits = "--fail-if 'agents_min<500' --fail-if 'results_missing>0'"
    report = load(world, f"--agents 500 --spectators 50 --duration 20 --ramp 15 --tasks 2 --think 3 {limits}")
    counted = agrees(report)
    assert all(ours == servers for ours, servers in counted.values()), counted
    assert (counted["agents"], counted["spectators"]) == ((500, 500), (50, 50))
    assert counted["acks"][0] >= 500
    cpu = [generator["cpu_share"] for generator in report["generators"]]
    assert max(cpu) < 0.85, "neither generator is the bottleneck by its own work"
    print(f"generators used {cpu} of a processor; {report['verdict']}")


@pytest.mark.slow
def test_a_broken_limit_is_exit_code_one(world: EmbeddedWorld) -> None:
    report = load(world, "--agents 2 --duration 2 --fail-if 'acks_per_s<1000'", code=1)
    assert report["ok"] is False
    assert report["limits"] == [
        {"fail_if": "acks_per_s<1000", "value": report["figures"]["acks_per_s"], "broken": True}
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_a_report_and_nothing_else(world: EmbeddedWorld, tmp_path: Path, number: int) -> None:
    running = subprocess.Popen(
        command(world, f"--agents 10 --duration 600 --out {tmp_path}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if re.match(r"Measuring: (\d+) ", line):
            break
    processes = psutil.Process(running.pid).children(recursive=True)
    assert {process.name() for process in processes} >= RAY_SERVERS
    # As a terminal does: to the whole process group.
    os.killpg(running.pid, number)
    began = time.monotonic()
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert json.loads(output)["interrupted"] is True
    assert json.loads((tmp_path / "report.json").read_text())["figures"]["measured_s"] > 0
    assert time.monotonic() - began < 40
    _, left = psutil.wait_procs(processes, timeout=30)
    assert left == []


@dataclass(frozen=True)
class SomebodysRay:
    """A cluster that is not ours, and what one needs to join it."""

    process: psutil.Process
    address: str
    environment: dict[str, str]


@pytest.fixture
def somebodys_ray(tmp_path: Path) -> Iterator[SomebodysRay]:
    """A Ray cluster with two processors and a token of its own."""
    token = tmp_path / "ray_token"
    token.write_text(secrets.token_hex(24))
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    script = [sys.executable, "-c", SOMEBODYS_RAY]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as running:
        assert running.stdout is not None
        yield SomebodysRay(psutil.Process(running.pid), running.stdout.readline().strip(), environment)
        running.communicate("")


@pytest.mark.slow
def test_in_a_cluster_that_runs(world: EmbeddedWorld, somebodys_ray: SomebodysRay) -> None:
    clusters = {one.pid for one in somebodys_ray.process.children(recursive=True) if one.name() in RAY_SERVERS}
    words = f"--agents 6 --duration 3 --tasks 2 --address {somebodys_ray.address}"
    report = load(world, words, environment=somebodys_ray.environment)
    counted = agrees(report)
    assert all(ours == servers for ours, servers in counted.values()), counted
    assert report["asked"]["address"] == somebodys_ray.address
    assert len(clusters) == 2
    assert all(psutil.pid_exists(pid) for pid in clusters), "it goes on"
