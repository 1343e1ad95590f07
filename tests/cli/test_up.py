"""``chunkcrawl up``: what it starts, what its signals do, and that nothing stays."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console

from cli import up
from config.settings import Settings
from embedded.children import free_port
from embedded.services import EmbeddedServices
from migrations.run import upgrade
from tests.cluster.started import Started

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


class Run(Started):
    """One ``chunkcrawl up`` without Ray in a process of its own."""

    def __init__(
        self,
        data_dir: Path,
        behaviour: str = "",
        *,
        wrapper: Sequence[str] = (),
        output: int = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        argv = [sys.executable, "-m", "tests.cluster.fake_world", str(self.port), str(data_dir), behaviour]
        super().__init__([*wrapper, *argv], cwd=ROOT, output=output, environment=environment)

    @property
    def events(self) -> list[str]:
        return (self.data_dir / "events").read_text().split()

    def left(self) -> list[str]:
        """What of this run is still there, by command line or working directory."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            try:
                words = [*(process.info["cmdline"] or ()), process.cwd()]
            except (psutil.Error, OSError):
                continue
            if any(str(self.data_dir) in word for word in words):
                found.append(" ".join(process.info["cmdline"] or ()))
        return found


@pytest.fixture(scope="module")
def left_by_a_run() -> Iterator[Path]:
    """A data directory with both servers' data, migrated: to make it takes most of a start."""
    with tempfile.TemporaryDirectory(prefix="chunkcrawl-up-") as name:
        path = Path(name) / "data"
        with EmbeddedServices(path) as urls:
            asyncio.run(upgrade(urls.database_url))
        yield path


@pytest.fixture
def data_dir(left_by_a_run: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="chunkcrawl-up-"))
    shutil.copytree(left_by_a_run, path / "data")
    yield path / "data"
    for process in psutil.process_iter(["cmdline"]):
        if any(str(path) in word for word in process.info["cmdline"] or ()):
            process.kill()
    shutil.rmtree(path, ignore_errors=True)


def wait_until_nothing_left(run: Run) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while left := run.left():
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_everything_in_order(data_dir: Path, number: signal.Signals) -> None:
    run = Run(data_dir, "stray")
    run.read_until("Ctrl-C")
    assert "\nNot used: [a setting].\n" in run.output
    assert f"curl -N -H 'Authorization: Bearer test-spectator-token' 'http://127.0.0.1:{run.port}" in run.output
    run.process.send_signal(number)
    assert run.end() == 0, run.output
    assert run.events == ["started", "stopping", "stopped"]
    assert run.output.rstrip().endswith("Stopped.")
    assert run.left() == []


@pytest.mark.services
def test_terminal_that_closes_stops_everything_in_order(data_dir: Path) -> None:
    """Nobody reads what is printed any more, and the signal comes from the kernel and from each shell."""
    master, slave = pty.openpty()
    run = Run(data_dir, output=slave)
    os.close(slave)
    printed = b""
    while b"Ctrl-C" not in printed:
        printed += os.read(master, 1000)
    os.close(master)
    for _ in range(3):
        run.process.send_signal(signal.SIGHUP)
    assert run.process.wait(DEADLINE_S) == 0
    assert run.events == ["started", "stopping", "stopped"]
    assert run.left() == []


@pytest.mark.services
def test_reader_of_a_pipe_that_has_gone_keeps_nothing_running(data_dir: Path) -> None:
    """`chunkcrawl up | tee log`: Ctrl-C ends tee first."""
    run = Run(data_dir)
    run.read_until("Ctrl-C")
    assert run.process.stdout is not None
    run.process.stdout.close()
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(DEADLINE_S) == 0
    assert run.events == ["started", "stopping", "stopped"]
    assert run.left() == []


@pytest.mark.services
def test_nohup_is_heeded(data_dir: Path) -> None:
    run = Run(data_dir, wrapper=["env", "--ignore-signal=HUP"])
    run.read_until("Ctrl-C")
    run.process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        run.process.wait(1)
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0, run.output


@pytest.mark.services
def test_gateways_of_another_cluster_are_not_looked_for_here(data_dir: Path) -> None:
    run = Run(data_dir, "elsewhere")
    run.read_until("Chunkcrawl runs in the Ray cluster at head:6379.")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0, run.output
    assert run.events == ["started", "stopping", "stopped"]


@pytest.mark.services
def test_sigusr1_leaves_a_world_that_needs_nothing_of_ours(data_dir: Path, valkey_url: str, postgres_url: str) -> None:
    servers = {"CHUNKCRAWL_REDIS_URL": valkey_url, "CHUNKCRAWL_DATABASE_URL": postgres_url}
    run = Run(data_dir, "elsewhere", environment=servers)
    run.read_until("Chunkcrawl runs in the Ray cluster at head:6379.")
    run.process.send_signal(signal.SIGUSR1)
    assert run.end() == 0, run.output
    assert run.events == ["started", "left"]
    assert run.output.splitlines()[-1] == "Left: the world goes on."


@pytest.mark.services
def test_sigusr1_ends_nothing_where_the_world_would_end_too(data_dir: Path) -> None:
    run = Run(data_dir, "elsewhere")
    run.read_until("Chunkcrawl runs in the Ray cluster at head:6379.")
    run.process.send_signal(signal.SIGUSR1)
    run.read_until("Not left: what this process has started would end with it")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0, run.output
    assert run.events == ["started", "stopping", "stopped"]


@pytest.mark.services
def test_second_signal_does_not_wait(data_dir: Path) -> None:
    run = Run(data_dir, "hang")
    run.read_until("Ctrl-C")
    run.process.send_signal(signal.SIGINT)
    run.read_until("Stopping")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == up.EXIT_FORCED, run.output
    wait_until_nothing_left(run)


def test_sigterm_that_comes_twice_at_once_is_one(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does when a process group with ``make`` in it is ended; a later one forces the end."""
    now = 100.0
    forced: list[float] = []
    monkeypatch.setattr(up, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(up, "kill_everything", lambda: forced.append(now))
    one = up.Up(Settings(data_dir=str(data_dir)), Console(file=io.StringIO()))
    with pytest.raises(up.StartInterrupted):
        one._on_signal(signal.SIGTERM, None)
    now += up.SAME_SIGNAL_S / 2
    one._on_signal(signal.SIGTERM, None)
    assert forced == []
    now += up.SAME_SIGNAL_S * 2
    with pytest.raises(up.StartInterrupted):
        one._on_signal(signal.SIGTERM, None)
    assert forced == [now]


@pytest.mark.services
def test_killed_run_does_not_block_the_next(data_dir: Path) -> None:
    first = Run(data_dir)
    first.read_until("Ctrl-C")
    first.process.kill()
    first.end()
    second = Run(data_dir)
    second.read_until("Ctrl-C")
    second.process.send_signal(signal.SIGTERM)
    assert second.end() == 0, second.output


@pytest.mark.services
def test_world_that_does_not_start_leaves_nothing(data_dir: Path) -> None:
    run = Run(data_dir, "fail")
    assert run.end() != 0
    assert "no world today" in run.output
    assert run.left() == []


@pytest.mark.services
def test_server_that_died_runs_again_at_the_same_address(data_dir: Path) -> None:
    run = Run(data_dir)
    run.read_until("Ctrl-C")
    services = (data_dir / "services.json").read_text()
    valkey = [process for process in psutil.Process(run.process.pid).children() if process.name() == "valkey-server"]
    valkey[0].kill()
    run.read_until("Valkey had ended by itself and runs again.")
    assert (data_dir / "services.json").read_text() == services
    port = int(services.partition("redis://")[2].partition("/")[0].rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 0, run.output
    assert run.left() == []


@pytest.mark.parametrize(
    ("given", "started"),
    [
        ({}, ["PostgreSQL", "Valkey"]),
        ({"redis_url": "redis://127.0.0.1:1/0"}, ["PostgreSQL"]),
        ({"redis_url": "redis://127.0.0.1:1/0", "database_url": "postgresql+asyncpg://me@127.0.0.1/x"}, []),
    ],
)
def test_it_says_what_it_starts(given: dict[str, str], started: list[str]) -> None:
    assert up._to_start(Settings(**given)) == started  # type: ignore[arg-type]
