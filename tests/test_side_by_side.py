"""Tests in two processes: all are run and counted, and an interrupt lets both stop what they have started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.docs.blocks import ROOT

ARGV = [sys.executable, "-m", "pytest", "-p", "tests.side_by_side", "-p", "no:cacheprovider", "-n", "2", "-v"]
DEADLINE_S = 60.0

FILES = {
    "test_a_server.py": "import pytest\n@pytest.mark.services\ndef test_s(): assert not 'server'\n",
    "test_b_nothing.py": "def test_one(): pass\ndef test_two(): pass\n",
    "test_c_nothing.py": "def test_one(): pass\ndef test_two(): pass\n",
    "test_d_ray.py": "import pytest\ndef test_first(): pass\n@pytest.mark.ray\ndef test_r(): assert not 'ray'\n",
}

#: Starts something that takes its time to stop.
LASTING = """
import os, pathlib, time
import pytest

@pytest.fixture(scope="session")
def thing():
    here = pathlib.Path(__file__).parent / str(os.getpid())
    here.with_suffix(".started").touch()
    yield
    time.sleep({stops_s})
    here.with_suffix(".stopped").touch()

def test_it(thing):
    time.sleep(100)
"""


def started(directory: Path, *options: str) -> subprocess.Popen[str]:
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n    services\n    ray\n")
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.Popen(
        [*ARGV, *options],
        cwd=directory,
        env=outer | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_all_are_run_and_counted_from_both_ends(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    running = started(tmp_path)
    output, _ = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == pytest.ExitCode.TESTS_FAILED, output
    assert re.search(r"=+ 2 failed, 5 passed in ", output), output
    assert "FAILED test_a_server.py::test_s" in output
    assert "FAILED test_d_ray.py::test_r" in output
    by_process: dict[str, list[str]] = {}
    for process, file in re.findall(r"^\[(gw\d)\] .* (test_\w+\.py)::", output, re.MULTILINE):
        by_process.setdefault(process, []).append(file)
    assert {files[0] for files in by_process.values()} == {"test_a_server.py", "test_d_ray.py"}


@pytest.mark.parametrize(
    ("number", "to_all", "stops_s"),
    [
        (signal.SIGINT, True, 0.5),  # as a terminal does
        (signal.SIGTERM, False, 0.5),  # as `kill` does, and make once more
        pytest.param(signal.SIGINT, True, 20, marks=pytest.mark.slow),  # longer than xdist would wait
    ],
)
def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, to_all: bool, stops_s: float
) -> None:
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(LASTING.format(stops_s=stops_s))
    running = started(tmp_path)
    end = time.monotonic() + DEADLINE_S
    while len(begun := sorted(tmp_path.glob("*.started"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    (os.killpg if to_all else os.kill)(running.pid, number)
    if number == signal.SIGTERM:
        time.sleep(0.05)
        running.send_signal(number)
    output, _ = running.communicate(timeout=DEADLINE_S + stops_s)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, output
    assert sorted(tmp_path.glob("*.stopped")) == [path.with_suffix(".stopped") for path in begun]
    assert [path.stem for path in begun if psutil.pid_exists(int(path.stem))] == []
