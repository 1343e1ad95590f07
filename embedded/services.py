"""PostgreSQL and Valkey for one machine: started from their wheels, or named by the environment.

Data lies under one directory (``.data`` by default) and stays between runs::

    .data/lock           held while a run uses the directory
    .data/secrets.json   passwords of both servers, made at the first start, readable by us only
    .data/services.json  the URLs of the running servers, for tools of the operator; gone when they are stopped
    .data/postgres/      the PostgreSQL cluster
    .data/valkey/        Valkey's append-only file

See docs/decisions/0001-embedded-services.md.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from config.settings import default
from embedded.children import ServiceError
from embedded.postgres import EmbeddedPostgres
from embedded.server import EmbeddedServer
from embedded.valkey import EmbeddedValkey, Fsync

__all__ = ["DEFAULT_DATA_DIR", "EmbeddedServices", "ServiceError", "ServiceUrls"]

DEFAULT_DATA_DIR: Final = Path(default("data_dir"))
SECRET_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class ServiceUrls:
    """Where the two servers are; both URLs carry a password, so never log them."""

    database_url: str
    redis_url: str

    def __repr__(self) -> str:
        return "ServiceUrls(...)"


class EmbeddedServices:
    """The two servers a world needs.  Call ``start`` once, ``stop`` in the end; both block.

    Start it from the main thread: the servers get a signal when the thread that started them ends.

    Args:
        data_dir: Where the data lies; made when missing.
        database_url: Use this PostgreSQL and start none.
        redis_url: Use this Redis or Valkey and start none.
        durable: False for tests: no fsync and no append-only file.
        redis_alone: Start Valkey and no PostgreSQL, for a look at a stopped world; ``services.json`` stays unwritten.
        fsync: When Valkey has on the disk what it was told.
    """

    def __init__(
        self,
        data_dir: Path = DEFAULT_DATA_DIR,
        *,
        database_url: str | None = None,
        redis_url: str | None = None,
        durable: bool = True,
        redis_alone: bool = False,
        fsync: Fsync = default("redis_fsync"),
    ) -> None:
        self._redis_alone = redis_alone
        #: Where the data lies.
        self.data_dir = self._data_dir = data_dir.absolute()
        self._database_url = database_url
        self._redis_url = redis_url
        self._durable = durable
        self._fsync = fsync
        self._lock_fd: int | None = None
        self._running: list[EmbeddedServer] = []
        self._owner_pid = os.getpid()

    def start(self) -> ServiceUrls:
        """Start what is not given by URL.

        Raises:
            ServiceError: Another run uses the data directory, or a server does not start.  Nothing is left running.
        """
        if self._database_url and self._redis_url:
            return ServiceUrls(self._database_url, self._redis_url)
        with self._directory_errors():
            self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_lock()
        atexit.register(self.stop)
        try:
            with self._directory_errors():
                urls = ServiceUrls(
                    database_url="" if self._redis_alone else self._database_url or self._start_postgres(),
                    redis_url=self._redis_url or self._start_valkey(),
                )
                if not self._redis_alone:
                    _write_private(self._data_dir / "services.json", {"pid": os.getpid(), **_as_dict(urls)})
        except BaseException:
            self.stop()
            raise
        return urls

    def revive(self) -> list[str]:
        """Start again whatever has ended by itself, at the same address; return the names of those servers.

        Raises:
            ServiceError: One does not start again.
        """
        return [server.name for server in self._running if server.ensure_running()]

    def take_notices(self) -> list[str]:
        """Return what the operator has to know of the servers' starts since the last call, a line each."""
        found = [notice for server in self._running for notice in server.notices]
        for server in self._running:
            server.notices.clear()
        return found

    def stop(self) -> None:
        """Stop what was started, last first, and give up the data directory; safe to call twice."""
        if os.getpid() != self._owner_pid:  # a fork that runs our atexit hook
            return
        atexit.unregister(self.stop)
        while self._running:
            self._running.pop().stop()
        if self._lock_fd is not None:
            (self._data_dir / "services.json").unlink(missing_ok=True)
            os.close(self._lock_fd)
            self._lock_fd = None

    def __enter__(self) -> ServiceUrls:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- for starting --

    @contextlib.contextmanager
    def _directory_errors(self) -> Iterator[None]:
        """Turn the system's errors about a directory into a ``ServiceError`` with what to do."""
        try:
            yield
        except OSError as error:
            no_directory = isinstance(error, FileExistsError | NotADirectoryError)
            why = "that is no directory" if no_directory else (error.strerror or type(error).__name__).lower()
            where = "" if error.filename in (None, str(self._data_dir)) else f" ({error.filename})"
            raise ServiceError(
                f"{self._data_dir} can't be used as data directory: {why}{where}. "
                "Name another one with --data DIR or CHUNKCRAWL_DATA_DIR."
            ) from None

    def _start_postgres(self) -> str:
        password, is_new = self._secret("postgres")
        server = EmbeddedPostgres(self._data_dir / "postgres", password, password_is_new=is_new, durable=self._durable)
        self._running.append(server)
        return server.start()

    def _start_valkey(self) -> str:
        password, _ = self._secret("valkey")
        server = EmbeddedValkey(self._data_dir / "valkey", password, durable=self._durable, fsync=self._fsync)
        self._running.append(server)
        return server.start()

    def _take_lock(self) -> None:
        """Lock the directory for this process; the lock ends with the process, however it ends."""
        fd = os.open(self._data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise ServiceError(
                f"{self._data_dir} is in use by another run (process {holder}). "
                "Stop that one, or give this one a directory of its own with --data DIR."
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._lock_fd = fd

    def _secret(self, name: str) -> tuple[str, bool]:
        """Return the password kept under ``name``, and whether it has been made just now."""
        path = self._data_dir / "secrets.json"
        kept: dict[str, str] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            kept = json.loads(path.read_text())
        if name in kept:
            return kept[name], False
        kept[name] = secrets.token_hex(SECRET_BYTES)
        _write_private(path, kept)
        return kept[name], True


def _as_dict(urls: ServiceUrls) -> dict[str, str]:
    return {"database_url": urls.database_url, "redis_url": urls.redis_url}


def _write_private(path: Path, content: dict[str, object] | dict[str, str]) -> None:
    """Write JSON that only we can read, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(content, file, indent=1)
    fresh.replace(path)
