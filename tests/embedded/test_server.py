"""One child process: started again where it was, stopped in order, and told about once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest

from embedded.children import Rung
from embedded.server import EmbeddedServer


class Sleeper(EmbeddedServer):
    """A server that serves nothing."""

    name: ClassVar[str] = "sleeper"
    stop_ladder: ClassVar[Sequence[Rung]] = (Rung(signal.SIGTERM, 10.0), Rung(signal.SIGKILL, 10.0))

    def __init__(self) -> None:
        super().__init__()
        self.starts = 0

    def start(self) -> str:
        self.starts += 1
        self._process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        return "sleep://here"

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self._process


@pytest.fixture
def server() -> Iterator[Sleeper]:
    server = Sleeper()
    yield server
    server.stop()


def test_one_that_was_never_started_is_not_started_by_a_look(server: Sleeper) -> None:
    assert not server.ensure_running()
    server.stop()
    assert server.starts == 0


def test_one_that_runs_is_left_alone(server: Sleeper) -> None:
    server.start()
    assert not server.ensure_running()
    assert server.starts == 1


def test_one_that_has_ended_is_started_again(server: Sleeper) -> None:
    server.start()
    assert server.process is not None
    server.process.kill()
    server.process.wait(10)
    assert server.ensure_running()
    assert server.starts == 2


def test_stopped_it_stays_so_and_may_be_stopped_twice(server: Sleeper) -> None:
    server.start()
    process = server.process
    server.stop()
    server.stop()
    assert process is not None
    assert process.returncode == -signal.SIGTERM
    assert not server.ensure_running()
