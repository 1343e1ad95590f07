"""A whole system in a directory of its own: ``chunkcrawl up`` and the operator's commands, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import orjson
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from embedded.children import free_port
from store.pg_session import patient_engine
from streaming.connect import connect

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "chunkcrawl.commands.main"]
READY_S = 90.0
STOP_S = 60.0


def environment() -> dict[str, str]:
    """Ours without settings, so that every system has those of its own directory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHUNKCRAWL_")}
    return clean | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "CHUNKCRAWL_SNAPSHOT_INTERVAL_S": "2"}


def run(*words: str | Path) -> tuple[int, str]:
    """An operator's command to its end: exit code, and what it said."""
    argv = [*COMMAND, *(str(word) for word in words)]
    done = subprocess.run(argv, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def begin(*words: str | Path) -> subprocess.Popen[str]:
    """An operator's command that goes on by itself."""
    argv = [*COMMAND, *(str(word) for word in words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=ROOT, env=environment(), stdout=pipe, stderr=subprocess.STDOUT, text=True)


class System:
    """One system.  ``start`` and ``stop`` as often as wanted; its data stays in ``data``."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.log = directory / "up.log"
        self.base = ""
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def start(self, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        """``chunkcrawl up`` with these variables, until it serves."""
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        words = ["up", "--no-demo", "--port", str(port), "--data", str(self.data)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*COMMAND, *words],
                cwd=ROOT,
                env=environment() | dict(settings),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            assert self._process.poll() is None, self.said
            if "Chunkcrawl runs." in self.said:
                assert httpx.get(f"{self.base}/readyz", timeout=10.0).status_code == 200
                return
            time.sleep(0.2)
        raise AssertionError(f"not ready within {READY_S} s:\n{self.said}")

    def stop(self) -> None:
        """SIGTERM, and its end; whatever is left of it after that is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(STOP_S) == 0, self.said
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @property
    def said(self) -> str:
        """What ``up`` has printed since its last start."""
        return self.log.read_text(errors="replace")

    @property
    def urls(self) -> dict[str, Any]:
        """Where its servers are while it runs."""
        found: dict[str, Any] = orjson.loads((self.data / "services.json").read_bytes())
        return found

    @asynccontextmanager
    async def database(self) -> AsyncIterator[AsyncEngine]:
        """Its database, while it runs."""
        engine = patient_engine(self.urls["database_url"])
        yield engine
        await engine.dispose()

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """Its Redis, while it runs."""
        client = connect(self.urls["redis_url"])
        yield client
        await client.aclose()


async def rows(engine: AsyncEngine, query: str) -> list[tuple[Any, ...]]:
    """What a query gives."""
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]
