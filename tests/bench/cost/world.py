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
from collections.abc import Iterator, Mapping
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
STREAMS_LOOKED_AT = 50
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
#: The command takes a checkout that it is not installed from for somebody else's, unless these are loaded already.
OWN_FIRST = "import cli.table\nfrom cluster import own_path\n"


class CostError(RuntimeError):
    """Something could not be measured; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout and the Python that runs it."""

    directory: Path
    python: Path
    #: More of the environment of what is run.
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with the checkout's own packages before those that are installed, and ``variables``."""
        path = os.pathsep.join((str(self.directory), str(self.directory / "sdk")))
        return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **self.variables}

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
    #: Chunks with agents in them.
    chunks: int = 0
    #: Facts written for the event log so far, and commits of all shards.
    facts: int = 0
    commits: int = 0
    #: Of Valkey: memory, and bytes sent so far.
    valkey_mb: float = 0.0
    valkey_out_bytes: int = 0


@dataclass
class World:
    """A world that runs.  ``looks`` grows by one twice a second."""

    base: str
    pid: int
    redis: Redis = field(repr=False)
    shards: int
    looks: list[Look] = field(default_factory=list, repr=False)

    def look(self) -> Look:
        """Count everything now."""
        pipe = self.redis.pipeline(transaction=False)
        pipe.info("all")
        pipe.hvals("population")
        pipe.xinfo_stream("stream:archive")
        for shard in range(self.shards):
            pipe.hget(f"shard:{shard}", "seq")
        found: Any
        population: Any
        found, population, archive, *numbers = pipe.execute(raise_on_error=False)
        calls = {
            name.removeprefix("cmdstat_"): (one["calls"], one["usec"])
            for name, one in found.items()
            if name.startswith("cmdstat_")
        }
        return Look(
            time.monotonic(),
            look(self.pid),
            calls,
            chunks=sum(int(count) > 0 for count in population),
            facts=archive["entries-added"] if isinstance(archive, dict) else 0,  # there is no such stream at first
            commits=sum(int(number or 0) for number in numbers),
            valkey_mb=found["used_memory"] / 1e6,
            valkey_out_bytes=found["total_net_output_bytes"],
        )

    def counts(self) -> dict[str, float]:
        """The sums of all counters on the metrics page, each over those of its samples that are no failures."""
        with DIRECT.open(f"{self.base}/metrics", timeout=30) as page:
            lines = page.read().decode().splitlines()
        found: dict[str, float] = {}
        for line in lines:
            name, _, value = line.rpartition(" ")
            if line.startswith("#") or ('outcome="' in name and 'outcome="completed"' not in name):
                continue
            name = name.partition("{")[0]
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def entry_bytes(self) -> float:
        """How long an entry of an agent's stream is, by a look at the last ones of some agents."""
        sizes = []
        for key in [
            key for key, _ in zip(self.redis.scan_iter("stream:agent:*"), range(STREAMS_LOOKED_AT), strict=False)
        ]:
            entries: Any = self.redis.xrevrange(key, count=20)
            sizes += [len(fields[b"m"]) for _, fields in entries]
        return sum(sizes) / len(sizes) if sizes else 0.0

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
def running(tree: Tree, shards: int = 2) -> Iterator[World]:
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
                tree.argv(
                    *("up", "--no-demo", "--port", str(port), "--data", str(data / "data"), "--shards", str(shards))
                ),
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
            world = World(base, up.pid, Redis.from_url(url), shards)
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
    while up.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.HTTPError), DIRECT.open(f"{base}/readyz", timeout=5):
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
