"""``chunkcrawl up`` with Ray, started where a user may start it, and ended where nobody would."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster import ray_directory
from embedded.children import free_port
from tests.cluster.started import Started

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

DEADLINE_S = 90.0
COMMAND = Path(sys.executable).with_name("chunkcrawl")
EVERYDAY = ("api", "client", "cluster", "migrations", "ray", "redis", "store", "streaming", "world")


class Start(Started):
    """One ``chunkcrawl up`` in a directory full of everyday names, its data directory given by a long relative path."""

    def __init__(self, directory: Path, temporary: Path) -> None:
        words = ["up", "--no-demo", "--shards", "1", "--port", str(free_port()), "--data", f"{'d' * 100}/data"]
        super().__init__([COMMAND, *words], cwd=directory, environment={"TMPDIR": str(temporary)})


@pytest.fixture
def user() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="u-", dir="/tmp") as name:
        for module in EVERYDAY:
            (Path(name) / f"{module}.py").write_text("raise RuntimeError('shadowed by ' + __file__)\n")
        yield Path(name)


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory for temporary files that is short enough for Ray, so that what is left can be seen."""
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp") as name:
        yield Path(name)
        for process in with_files_in(Path(name)):
            process.kill()


def with_files_in(directory: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *(file.path for file in process.open_files())]
        except (psutil.Error, OSError):
            continue
        if any(f"{directory}/" in word for word in words):
            found.append(process)
    return found


def wait_until_nothing_left(*directories: Path) -> None:
    end = time.monotonic() + DEADLINE_S
    while left := [process for directory in directories for process in with_files_in(directory)]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


def test_it_starts_among_everyday_names_under_a_long_tmpdir(user: Path) -> None:
    long = user / ("t" * 80)
    long.mkdir()
    run = Start(user, long)
    run.read_until("Ctrl-C")
    assert (user / ("d" * 100) / "data" / "services.json").exists()
    os.killpg(run.process.pid, signal.SIGTERM)  # to the whole process group, as `timeout` does it
    assert run.end() == 0, run.output
    assert "failed" not in run.output, run.output
    wait_until_nothing_left(user)
    assert list(long.iterdir()) == []


def test_sigterm_while_ray_starts(user: Path, short: Path) -> None:
    run = Start(user, short)
    run.read_until("Starting Ray")
    end = time.monotonic() + DEADLINE_S
    while not any(process.name() == "gcs_server" for process in with_files_in(short)):
        assert time.monotonic() < end
        time.sleep(0.05)
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0, run.output
    assert run.output.rstrip().endswith("Stopped.")
    wait_until_nothing_left(user, short)
    assert list(short.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("said", ["Starting PostgreSQL", "Starting Ray", "Ctrl-C"])
def test_what_a_killed_run_leaves_is_in_nobodys_way(user: Path, short: Path, said: str) -> None:
    killed = Start(user, short)
    killed.read_until(said)
    time.sleep(1.0 if said == "Starting Ray" else 0)
    killed.process.kill()
    killed.end()
    again = Start(user, short)
    again.read_until("Ctrl-C")
    assert len(list(short.glob(f"{ray_directory.PREFIX}*"))) == 1, "of this run, and none of the one that was killed"
    again.process.send_signal(signal.SIGTERM)
    assert again.end() == 0, again.output
    wait_until_nothing_left(user, short)
    assert list(short.iterdir()) == []


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_run_and_ctrl_c(tmp_path: Path) -> None:
    """As docs/operating.md has it: everything is stopped in order, and make itself says 130."""
    (tmp_path / "chunkcrawl").write_text(
        f"#!{sys.executable}\n"
        "import signal, sys, time\n"
        "def stop(*_): print('Stopped.', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGINT, stop); print('up', flush=True); time.sleep(60)\n"
    )
    (tmp_path / "chunkcrawl").chmod(0o755)
    root = Path(__file__).parents[2]
    argv = ["make", "--old-file=.venv/.installed", "run", f"BIN={tmp_path}", "STAMP=.venv/.installed"]
    # Not as a part of the make that may have started these tests.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    with subprocess.Popen(
        argv, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.stdout.read() == "Stopped.\n"
    assert process.returncode in (130, -signal.SIGINT), "a shell shows both as 130"
