"""A sleep of the whole machine (a laptop's lid, a paused virtual machine), as far as signals can play it.

    .venv/bin/pytest -s -m slow tests/chaos/test_sleep.py

Every process of a world that ``chunkcrawl up`` started is stopped, its agent's too, for longer than any time of the
server's: grace of agents, life of connections, leases.  Clocks go on meanwhile, as they do for a paused machine.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from embedded.children import free_port
from tests.cluster.started import Started

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("chunkcrawl")
ASLEEP_S = float(os.environ.get("ASLEEP_SECONDS", "70"))
#: By which all processes of a run are known, whoever their parent is by now.
MARK = "SLEEP_TEST"

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(ASLEEP_S + 400)]


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture
def mark() -> Iterator[str]:
    mark = secrets.token_hex(8)
    yield mark
    tell(marked(mark), signal.SIGKILL)


def tell(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Send all of them a signal; some may have ended meanwhile."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def test_a_walk_goes_on_after_a_sleep_of_the_whole_machine(mark: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sl-", dir="/tmp") as directory:
        port = free_port()
        words = ["up", "--no-demo", "--shards", "2", "--port", str(port), "--data", f"{directory}/data"]
        world = Started([COMMAND, *words], cwd=Path(directory), environment={MARK: mark})
        world.read_until("Ctrl-C")
        argv = [sys.executable, "-m", "tests.chaos.long_walk", f"http://127.0.0.1:{port}"]
        walker = Started(argv, cwd=ROOT, environment={MARK: mark})
        walker.read_until("walking")
        asleep = marked(mark)
        tell(asleep, signal.SIGSTOP)
        names = {process.name() for process in asleep if process.status() == psutil.STATUS_STOPPED}
        assert {"valkey-server", "postgres", "raylet", "gcs_server"} <= names
        time.sleep(ASLEEP_S)
        tell(asleep, signal.SIGCONT)
        walker.end()
        print(walker.output)
        assert "completed True" in walker.output
        world.process.send_signal(signal.SIGTERM)
        assert world.end() == 0, world.output
