"""``chunkcrawl up``: everything a world needs, in order, until a signal; then all of it ended in the opposite order.

The order is: port check, embedded servers, migrations, the world in Ray (``cluster.deploy``), demo agents.  The first
SIGINT, SIGTERM or SIGHUP (a terminal that closes) stops it in order, each part within a bounded time; a second SIGINT
or SIGTERM kills whatever is left at once.  A SIGHUP that was ignored when we were started (``nohup``) stays ignored.
SIGUSR1 ends this process alone and leaves the world, where it runs in a Ray cluster that goes on without us.
Embedded servers and demo agents that end by themselves are started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Final

import psutil
from rich.console import Console

from chunkcrawl.commands.interrupts import heeded_signals, print_no_more_where_nobody_reads
from cli.world_address import check_port, local_url, wait_until_ready, where_to_look, without_proxies
from cluster import own_path, ray_directory
from cluster.first_checks import check_directories, check_stores
from config.settings import Settings
from embedded import children
from embedded.children import Rung
from embedded.services import EmbeddedServices

WATCH_INTERVAL_S: Final = 1.0
DEMO_RESTART_S: Final = 5.0
DEMO_STOP_LADDER: Final = (Rung(signal.SIGTERM, 4.0),)
# Beyond the time that gateways take to drain: for shards and Ray.
WORLD_STOP_MARGIN_S: Final = 30.0
STRAY_WAIT_S: Final = 5.0
EXIT_FORCED: Final = 130
#: A SIGTERM to the whole process group reaches us by itself, and once more from ``make``, which passes its own on.
SAME_SIGNAL_S: Final = 0.5


class StartInterrupted(BaseException):
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
        self._own_servers = bool(_to_start(settings))
        self._runs = False
        self._console = console
        self._services = EmbeddedServices(
            Path(settings.data_dir),
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            fsync=settings.redis_fsync,
        )
        self._signals_seen = 0
        self._terminated_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._leaving = False
        self._demo: Demo | None = None
        self._descendants: list[psutil.Process] = []
        # Whoever calls us may have children of its own (a test session its servers): those are not ours to end.
        self._not_ours = frozenset(psutil.Process().children(recursive=True))

    def run(self) -> int:
        """Run the world until a signal; return the exit code."""
        heeded = [*heeded_signals(), signal.SIGUSR1]
        handlers_before = {number: signal.signal(number, self._on_signal) for number in heeded}
        try:
            if self._own_cluster:
                ray_directory.remove_stale()  # a gateway of a run that was killed may hold the port for seconds
                check_port(self._settings.host, self._settings.port)
                check_directories(self._settings)
            if servers := _to_start(self._settings):
                self._say(f"Starting {' and '.join(servers)} ...")
            urls = self._services.start()
            self._tell_notices()
            known: dict[str, object] = {"database_url": urls.database_url, "redis_url": urls.redis_url}
            if self._own_cluster and not self._settings.log_dir:
                # Standard error of the actors goes to Ray's session directory, which ends with the run.
                known["log_dir"] = str(Path(self._settings.data_dir).absolute() / "logs")
            self._settings = self._settings.model_copy(update=known)
            asyncio.run(self._main())
        except StartInterrupted:
            pass
        finally:
            self._ending = True
            self._services.stop()
            # The second part: of a start that was cut short, where a thread may have gone on starting Ray.
            ours = {*self._descendants, *psutil.Process().children(recursive=True)} - self._not_ours
            end_strays(list(ours))
            for number, handler in handlers_before.items():
                signal.signal(number, handler)
        self._say("Left: the world goes on." if self._leaving else "Stopped.")
        return 0

    def _say(self, text: str, *, markup: bool = True) -> None:
        """Print a line; a terminal or a reader of a pipe that has gone away keeps nothing from being stopped."""
        try:
            self._console.print(text, markup=markup)
        except OSError:
            print_no_more_where_nobody_reads()

    # -- signals --

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        print_no_more_where_nobody_reads()
        if self._signals_seen and number == signal.SIGHUP:
            return
        if number == signal.SIGUSR1:
            self._leave()
            return
        if number == signal.SIGTERM:
            before, self._terminated_at = self._terminated_at, time.monotonic()
            if self._terminated_at - before < SAME_SIGNAL_S:
                return
        self._signals_seen += 1
        if self._signals_seen > 1:
            kill_everything()
        if self._ending:
            return
        if self._task is None:
            raise StartInterrupted
        if not self._task.done():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def _leave(self) -> None:
        """Begin to end this process alone, once the world runs; where it would end too nothing happens."""
        if self._own_cluster or self._own_servers or not self._runs:
            self._say("Not left: what this process has started would end with it; Ctrl-C stops the world in order.")
        elif self._task is not None and not self._task.done() and not self._signals_seen:
            self._leaving = True
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    # -- the world --

    async def _main(self) -> None:
        self._task = asyncio.create_task(self._run())
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                await self._start(stack)
                await self._watch()
            finally:
                # Before anything is stopped: what loses its parent then can't be found any more.
                self._descendants = psutil.Process().children(recursive=True)
                if not self._leaving:
                    self._say("\nStopping; again to force it ..." if self._signals_seen else "\nStopping ...")

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        from cluster import deploy
        from migrations.run import upgrade
        from operations.fork import begin_fork
        from operations.rebuild import bring_back

        settings = self._settings
        await check_stores(settings)
        await upgrade(settings.database_url)
        if (rebuilt := await bring_back(settings)) is not None:
            self._say(str(rebuilt))
        elif (forked := await begin_fork(settings)) is not None:
            self._say(f"This world begins as a fork: {forked}. Agents belong to the first account that plays them.")
        self._say(f"Starting Ray, shards ({settings.shards}) and gateways ({settings.gateways}) ...")
        deployment = await deploy.start(settings)
        limit_s = settings.drain_s + WORLD_STOP_MARGIN_S

        async def end() -> None:
            await (deployment.leave() if self._leaving else deployment.stop())

        stack.push_async_callback(self._bounded, "the world", end, limit_s)
        self._runs = True
        for notice in deployment.notices:
            self._say(notice, markup=False)
        if not self._own_cluster:
            self._say(f"Chunkcrawl runs in the Ray cluster at {settings.ray_address}.")
            return
        base_url = local_url(settings)
        await wait_until_ready(base_url)
        if settings.demo_enabled and settings.demo_agents:
            self._demo = Demo(base_url, settings.demo_agents, Path(settings.data_dir) / "demo.log")
            self._demo.ensure_running()
            stack.push_async_callback(asyncio.to_thread, self._demo.stop)
        self._say(where_to_look(settings, base_url))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            # From this thread, not from a worker: the servers end with the thread that started them.
            for name in self._services.revive():
                self._say(f"{name} had ended by itself and runs again.")
            self._tell_notices()
            if self._demo is not None:
                self._demo.ensure_running()

    def _tell_notices(self) -> None:
        for notice in self._services.take_notices():
            self._say(notice, markup=False)

    async def _bounded(self, what: str, stop: Callable[[], Awaitable[None]], limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await stop()
        except TimeoutError:
            self._say(f"Stopping {what} took longer than {limit_s:.0f} s; ending it.")
        except Exception as error:  # whatever it is, the rest has to be stopped too
            self._say(f"Stopping {what} failed: {error!r}", markup=False)


class Demo:
    """The demo agents, a process that knows only the wire."""

    def __init__(self, base_url: str, agents: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._argv = [*own_path.module_argv("chunkcrawl.bots.demo"), "--base", base_url, "--agents", str(agents)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def ensure_running(self) -> None:
        """Start it, or start it again when it has ended (not more often than every ``DEMO_RESTART_S``)."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is None or time.monotonic() - self._started > DEMO_RESTART_S:
            self._started = time.monotonic()
            self._process = children.spawn(self._argv, log=self._log, env=without_proxies(os.environ))

    def stop(self) -> None:
        """End the demo agents, by force when they take too long."""
        if self._process is not None:
            children.stop(self._process, DEMO_STOP_LADDER)


# -- parts --


def _to_start(settings: Settings) -> list[str]:
    """Name the servers of our own that are started."""
    urls = {"PostgreSQL": settings.database_url, "Valkey": settings.redis_url}
    return [name for name, url in urls.items() if not url]


def end_strays(processes: list[psutil.Process]) -> None:
    """End those of our descendants that are still there after everything was stopped."""
    _, alive = psutil.wait_procs(processes, timeout=STRAY_WAIT_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=STRAY_WAIT_S)


def kill_everything() -> None:
    """Kill every child at once, after a second Ctrl-C.  What was committed survives it."""
    for process in reversed(psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    os._exit(EXIT_FORCED)
