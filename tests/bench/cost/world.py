"""A world of a checkout, started as its users start it, and looked at while somebody plays in it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from tests.bench.cost.processes import Process, look

__all__ = ["HERE", "CostError", "Look", "Tree", "World", "running"]

HERE = Path(__file__).resolve().parents[3]
READY_S = 120.0
STOP_S = 60.0
LOOK_EVERY_S = 0.5
LOG_TAIL = 2_000
#: The command takes a checkout that it is not installed from for somebody else's, unless these are loaded already.
OWN_FIRST = "import cli.table\nfrom cluster import own_path\n"


class CostError(RuntimeError):
    """Something could not be measured; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout and the Python that runs it."""

    directory: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with the checkout's own packages before those that are installed."""
        path = os.pathsep.join((str(self.directory), str(self.directory / "sdk")))
        return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}

    def check(self) -> None:
        """Make sure that this Python imports the packages of this checkout.

        Raises:
            CostError: It does not.
        """
        code = f"{OWN_FIRST}own_path.use_own_packages()\nimport chunkcrawl, cli.up, world\n"
        code += "for one in (chunkcrawl, cli.up, world): print(one.__file__)"
        try:
            found = subprocess.run(
                [str(self.python), "-c", code], capture_output=True, text=True, env=self.environment, cwd="/"
            )
        except OSError as error:
            raise CostError(f"{self.python} can't be run: {error.strerror}; name another with --python") from None
        files = found.stdout.split()
        if found.returncode or not all(Path(file).is_relative_to(self.directory) for file in files):
            told = found.stderr.strip().splitlines()[-1:] or files
            raise CostError(f"{self.python} does not run {self.directory} ({' '.join(told)}); name another --python")

    def argv(self, *words: str) -> list[str]:
        """``chunkcrawl`` of this checkout."""
        return [str(self.python), "-c", f"{OWN_FIRST}from chunkcrawl.commands.main import main\nmain()", *words]


@dataclass(frozen=True, slots=True)
class Look:
    """All that is counted, at one moment."""

    at: float
    processes: dict[int, Process]
    #: Of Valkey, by command: calls, and microseconds of them all.
    commandstats: dict[str, tuple[int, int]]


@dataclass
class World:
    """A world that runs.  ``looks`` grows by one twice a second."""

    base: str
    pid: int
    redis: Redis = field(repr=False)
    looks: list[Look] = field(default_factory=list, repr=False)

    def look(self) -> Look:
        """Count everything now."""
        stats: dict[str, Any] = self.redis.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): (one["calls"], one["usec"]) for name, one in stats.items()}
        return Look(time.monotonic(), look(self.pid), calls)

    def between(self, begin: float, end: float) -> tuple[Look, Look]:
        """The first and the last look within an interval of ``time.monotonic``.

        Raises:
            CostError: It holds fewer than two.
        """
        within = [one for one in self.looks if begin <= one.at <= end]
        if len(within) < 2:
            raise CostError("the client ended before anything was measured; try a longer --duration")
        return within[0], within[-1]


@contextlib.contextmanager
def running(tree: Tree) -> Iterator[World]:
    """Start a world without demo in a directory of its own, and stop it in the end.

    Raises:
        CostError: It does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ccbench-") as name, socket.socket() as probe:
        data = Path(name)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        with open(data / "up.log", "wb") as log:
            up = subprocess.Popen(
                tree.argv("up", "--no-demo", "--port", str(port), "--data", str(data / "data")),
                env=tree.environment,
                cwd=data,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            base = f"http://127.0.0.1:{port}"
            _wait_until_ready(up, base, data / "up.log")
            url = json.loads((data / "data" / "services.json").read_text())["redis_url"]
            world = World(base, up.pid, Redis.from_url(url))
            with _looking(world):
                yield world
        finally:
            up.send_signal(signal.SIGTERM)
            try:
                up.wait(STOP_S)
            except subprocess.TimeoutExpired:
                up.send_signal(signal.SIGTERM)  # the second one kills what is left
                up.wait()


def _wait_until_ready(up: subprocess.Popen[bytes], base: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while up.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.HTTPError), direct.open(f"{base}/readyz", timeout=5):
            return
        time.sleep(0.2)
    raise CostError(f"the world does not start; the end of its output:\n{log.read_text()[-LOG_TAIL:]}")


@contextlib.contextmanager
def _looking(world: World) -> Iterator[None]:
    ended = threading.Event()

    def look_on() -> None:
        while not ended.wait(LOOK_EVERY_S):
            world.looks.append(world.look())

    thread = threading.Thread(target=look_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        world.redis.close()
