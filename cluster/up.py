"""``chunkcrawl up``: everything a world needs, in order, until a signal; then all of it ended in the opposite order.

The order is: port check, embedded servers, migrations, the world in Ray (``cluster.deploy``), demo agents. The first
SIGINT or SIGTERM stops it in order, each part within a bounded time; the second one kills whatever is left at once.
Embedded servers and demo agents that end by themselves are started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType

import psutil
from rich.console import Console

from api.settings import Settings
from cluster import children
from cluster.children import Rung, ServiceError
from cluster.services import EmbeddedServices

READY_WAIT_S = 60.0
READY_POLL_S = 0.2
READY_REQUEST_S = 2.0
WATCH_INTERVAL_S = 1.0
DEMO_RESTART_S = 5.0
DEMO_STOP_LADDER = (Rung(signal.SIGTERM, 4.0),)
# Beyond the time that gateways take to drain: for shards and Ray.
WORLD_STOP_MARGIN_S = 30.0
STRAY_WAIT_S = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_FORCED = 130
DEV_TOKEN = "test-spectator-token"


class Interrupted(BaseException):
    """A signal came while nothing could be cancelled (a server was being started)."""


def run(settings: Settings, console: Console | None = None) -> int:
    """Run the world until a signal; returns the exit code, 0 after an orderly stop.

    Raises:
        ServiceError: Something could not be started; everything that had been started is stopped.
    """
    return Up(settings, console or Console(soft_wrap=True, highlight=False)).run()


class Up:
    """One run of ``chunkcrawl up``."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        # In another cluster gateways run wherever Ray puts them; whether they serve is for the balancer to find out.
        self._own_cluster = settings.ray_address == "local"
        self._console = console
        self._services = EmbeddedServices(
            Path(settings.data_dir), database_url=settings.database_url, redis_url=settings.redis_url
        )
        self._signals_seen = 0
        self._task: asyncio.Task[None] | None = None
        self._demo: Demo | None = None
        self._descendants: list[psutil.Process] = []

    def run(self) -> int:
        handlers_before = {number: signal.getsignal(number) for number in SIGNALS}
        self._catch_signals()
        try:
            if self._own_cluster:
                check_port(self._settings.host, self._settings.port)
            self._console.print("Starting PostgreSQL and Valkey ...")
            urls = self._services.start()
            self._settings = self._settings.model_copy(
                update={"database_url": urls.database_url, "redis_url": urls.redis_url}
            )
            asyncio.run(self._main())
        except Interrupted:
            pass
        finally:
            self._services.stop()
            # The second part: of a start that was cut short, where a thread may have gone on starting Ray.
            end_strays([*self._descendants, *psutil.Process().children(recursive=True)])
            for number, handler in handlers_before.items():
                signal.signal(number, handler)
        self._console.print("Stopped.")
        return 0

    # signals

    def _catch_signals(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals_seen += 1
        if self._signals_seen > 1:
            kill_everything()
        if self._task is None:
            raise Interrupted
        if not self._task.done():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    # the world

    async def _main(self) -> None:
        self._task = asyncio.create_task(self._live())
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _live(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                await self._start(stack)
                await self._watch()
            finally:
                # Before anything is stopped: what loses its parent then can't be found any more.
                self._descendants = psutil.Process().children(recursive=True)
                self._console.print("\nStopping; again to force it ..." if self._signals_seen else "\nStopping ...")

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        from cluster import deploy
        from migrations.run import upgrade

        settings = self._settings
        await upgrade(settings.database_url)
        self._console.print(f"Starting Ray, shards ({settings.shards}) and gateways ({settings.gateways}) ...")
        try:
            deployment = await deploy.start(settings)
        finally:
            self._catch_signals()  # ray.init has taken SIGTERM
        limit_s = settings.drain_s + WORLD_STOP_MARGIN_S
        stack.push_async_callback(self._bounded, "the world", deployment.stop, limit_s)
        if not self._own_cluster:
            self._console.print(f"Chunkcrawl runs in the Ray cluster at {settings.ray_address}.")
            return
        base_url = local_url(settings)
        await wait_until_ready(base_url)
        if settings.demo_enabled and settings.demo_agents:
            self._demo = Demo(base_url, settings.demo_agents, Path(settings.data_dir) / "demo.log")
            self._demo.ensure_running()
            stack.push_async_callback(asyncio.to_thread, self._demo.stop)
        self._console.print(where_to_look(settings, base_url))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            # From this thread, not from a worker: the servers end with the thread that started them.
            for name in self._services.revive():
                self._console.print(f"{name} had ended by itself and runs again.")
            if self._demo is not None:
                self._demo.ensure_running()

    async def _bounded(self, what: str, stop: Callable[[], Awaitable[None]], limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await stop()
        except TimeoutError:
            self._console.print(f"Stopping {what} took longer than {limit_s:.0f} s; ending it.")
        except Exception as error:  # whatever it is, the rest has to be stopped too
            self._console.print(f"Stopping {what} failed: {error!r}", markup=False)


class Demo:
    """The demo agents, a process that knows only the wire."""

    def __init__(self, base_url: str, agents: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._argv = [sys.executable, "-m", "client.demo", "--base", base_url, "--agents", str(agents)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def ensure_running(self) -> None:
        """Start it, or start it again when it has ended (not more often than every ``DEMO_RESTART_S``)."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is None or time.monotonic() - self._started > DEMO_RESTART_S:
            self._started = time.monotonic()
            self._process = children.spawn(self._argv, log=self._log)

    def stop(self) -> None:
        if self._process is not None:
            children.stop(self._process, DEMO_STOP_LADDER)


# parts


def check_port(host: str, port: int) -> None:
    """Find out early, and in plain words, that nobody can listen on ``port``.

    Raises:
        ServiceError: It is taken, or may not be used.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        # Past connections in TIME_WAIT do not count. Without SO_REUSEPORT a second world's gateways do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ServiceError(
                f"Port {port} on {host} can't be used: {os.strerror(error.errno or 0).lower()}. Stop what listens "
                "there, or choose another port with CHUNKCRAWL_PORT or --port."
            ) from None


def local_url(settings: Settings) -> str:
    """Where this machine reaches the gateways."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{settings.port}"


async def wait_until_ready(base_url: str) -> None:
    """Wait until ``/readyz`` answers 200.

    Raises:
        ServiceError: It has not within ``READY_WAIT_S``; the text has its last answer.
    """
    deadline = time.monotonic() + READY_WAIT_S
    while True:
        ready, answer = await asyncio.to_thread(_ask_ready, base_url)
        if ready:
            return
        if time.monotonic() > deadline:
            raise ServiceError(f"The world is not ready after {READY_WAIT_S:.0f} s: {answer}")
        await asyncio.sleep(READY_POLL_S)


def _ask_ready(base_url: str) -> tuple[bool, str]:
    try:
        with urllib.request.urlopen(f"{base_url}/readyz", timeout=READY_REQUEST_S) as response:
            return response.status == 200, ""
    except urllib.error.HTTPError as error:
        return False, error.read(2000).decode(errors="replace")
    except (OSError, ValueError) as error:
        return False, str(error)


def where_to_look(settings: Settings, base_url: str) -> str:
    """What is printed when the world runs."""
    lines = ["", "[bold green]Chunkcrawl runs.[/]", f"  API    {base_url}"]
    if settings.is_prod:
        lines.append("  Watch  with a session of role spectator: see README.md")
    else:
        stream = f"{base_url}/v1/spectate/stream?chunk_id=demo"
        lines += [
            f"  Docs   {base_url}/docs",
            f"  Watch  curl -N -H 'Authorization: Bearer {DEV_TOKEN}' '{stream}'",
            f"  Play   chunkcrawl play --base {base_url}",
        ]
    return "\n".join([*lines, "  Stop   Ctrl-C"])


def end_strays(processes: list[psutil.Process]) -> None:
    """End those of our descendants that are still there after everything was stopped."""
    _, alive = psutil.wait_procs(processes, timeout=STRAY_WAIT_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=STRAY_WAIT_S)


def kill_everything() -> None:
    """The second Ctrl-C: no order any more, and nothing left. Data survives it as it survives a power cut."""
    for process in reversed(psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    os._exit(EXIT_FORCED)
