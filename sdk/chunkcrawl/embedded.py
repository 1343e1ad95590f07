"""A world of one's own for as long as a block runs: ``chunkcrawl up`` as a child process on a free port.

    with EmbeddedWorld() as world:
        print(world.base, world.new_key())

Knows the server only as a command.  What it starts is gone afterwards, its data too.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final

import httpx

from chunkcrawl.agent import Agent
from chunkcrawl.errors import ServerUnreachable
from chunkcrawl.transport.proxies import blocking_http_client, over, proxy_for

__all__ = ["EmbeddedWorld"]

START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 75.0
POLL_S: Final = 0.2
LOG_LINES_SHOWN: Final = 30


class EmbeddedWorld:
    """A running server, its address, and keys to it.

    Attributes:
        base: The server's address.
        log: The file that holds what the server printed; None for a server that was there before.
    """

    def __init__(self, *, base: str | None = None, settings: dict[str, str] | None = None, demo: bool = False) -> None:
        """Keep the arguments; nothing is started before ``start`` or ``with``.

        Args:
            base: Use this running server and start none.
            settings: Environment variables for the server, for instance ``{"CHUNKCRAWL_SHARDS": "1"}``.
            demo: Whether demo actors and demo agents are there.
        """
        self.base = base or ""
        self.log: Path | None = None
        self._given = base is not None
        self._settings = settings or {}
        self._demo = demo
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self._key: str | None = None

    def __enter__(self) -> EmbeddedWorld:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- running --

    def start(self) -> None:
        """Start the server and wait until it is ready; some seconds.

        Raises:
            FileNotFoundError: There is no ``chunkcrawl`` command.
            ServerUnreachable: It ended, or was not ready in time; the text holds the end of its log.
        """
        if self._given:
            self._wait_until_ready()
            return
        port = _free_port()
        self.base = f"http://127.0.0.1:{port}"
        self._directory = Path(tempfile.mkdtemp(prefix="chunkcrawl-"))
        self.log = self._directory / "server.log"
        arguments = [_command(), "up", "--port", str(port), "--data", str(self._directory / "data")]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*arguments, "--demo" if self._demo else "--no-demo"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self._settings,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server in order, by force if that takes too long, and remove its data."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def _wait_until_ready(self) -> None:
        proxy = proxy_for(self.base)
        deadline = time.monotonic() + START_TIMEOUT_S
        last = "no answer"
        with blocking_http_client(proxy, timeout=5.0) as http:
            while time.monotonic() < deadline:
                if self._process is not None and self._process.poll() is not None:
                    raise ServerUnreachable(f"the server ended with {self._process.returncode}\n{self._end_of_log()}")
                try:
                    answer = http.get(f"{self.base}/readyz")
                except httpx.HTTPError as error:
                    last = f"{type(error).__name__} {error}{over(proxy)}"
                else:
                    if answer.status_code == 200:
                        return
                    last = answer.text
                time.sleep(POLL_S)
        raise ServerUnreachable(f"not ready after {START_TIMEOUT_S:g} s: {last}\n{self._end_of_log()}")

    def _end_of_log(self) -> str:
        if self.log is None:
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])

    # -- playing --

    def new_key(self) -> str:
        """Return an API key of a new account.

        Raises:
            httpx.HTTPError: The server refuses.
        """
        with blocking_http_client(proxy_for(self.base), timeout=30.0) as http:
            person = {"email": f"test-{secrets.token_hex(8)}@example.com", "password": secrets.token_urlsafe(16)}
            account = http.post(f"{self.base}/v1/signup", json=person).raise_for_status().json()
            headers = {"Authorization": f"Bearer {account['account_token']}"}
            body = {"account_id": account["account_id"]}
            made = http.post(f"{self.base}/v1/keys", json=body, headers=headers).raise_for_status()
            key: str = made.json()["api_key"]
        return key

    @property
    def key(self) -> str:
        """The API key of this world's own account, made on first use."""
        self._key = self._key or self.new_key()
        return self._key

    def agent(self, agent_id: str | None = None, *, api_key: str | None = None, retries: int = 5) -> Agent:
        """Return an agent to enter with ``async with``; a new one with a name of its own when none is given."""
        name = agent_id or f"test-{secrets.token_hex(4)}"
        return Agent.connect(self.base, agent_id=name, api_key=api_key or self.key, retries=retries)


def _command() -> str:
    """Return the ``chunkcrawl`` of this environment, else the one on the path."""
    beside = Path(sys.executable).with_name("chunkcrawl")
    found = str(beside) if beside.exists() else shutil.which("chunkcrawl")
    if found is None:
        raise FileNotFoundError("there is no chunkcrawl command; install the distribution")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
