"""The directory of a Ray cluster of our own: short, ours alone, and gone when the run is, however that ended.

::

    /tmp/ccray-x1y2z3ab/        0700, for what Ray makes in it is open to everybody
    /tmp/ccray-x1y2z3ab/lock    held while the run lives
    /tmp/ccray-x1y2z3ab/r/      what Ray is given

Ray's Unix sockets lie in it, and a socket's path may have 107 characters (103 on macOS), so ``TMPDIR`` is used only
when it is short enough.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from embedded.children import ServiceError

__all__ = ["RunDirectory", "make", "remove_stale"]

PREFIX: Final = "ccray-"
SOCKET_PATH_MOST: Final = 103 if sys.platform == "darwin" else 107
#: The longest path below a base directory: our two, Ray's session with a process id of 7 digits, its socket.
BELOW_BASE: Final = f"/{PREFIX}12345678/r/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
BASE_MOST: Final = SOCKET_PATH_MOST - len(BELOW_BASE)

#: How long a directory may be without its lock: it is just being made, or its maker was killed meanwhile.
UNLOCKED_KEEP_S: Final = 60.0
END_WAIT_S: Final = 5.0
RAY_SERVERS: Final = ("gcs_server", "raylet")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's directory, held by this process."""

    #: The directory that is ours alone.
    path: Path
    lock_fd: int

    @property
    def for_ray(self) -> Path:
        """What Ray is given."""
        return self.path / "r"

    @property
    def logs(self) -> Path:
        """Where Ray writes the logs of the session."""
        return self.for_ray / "session_latest" / "logs"

    def remove(self) -> None:
        """Remove it; safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self.lock_fd)


def make() -> RunDirectory:
    """Make a directory for one run.

    Raises:
        ServiceError: no directory for temporary files is short enough and can be written to.
    """
    for base in _bases():
        if len(os.fsencode(base)) <= BASE_MOST:
            with contextlib.suppress(OSError):
                return _made(Path(tempfile.mkdtemp(prefix=PREFIX, dir=base)))
    raise ServiceError(
        f"no directory for Ray's sockets: none of {', '.join(map(str, _bases()))} can be written to and is short "
        f"enough; set TMPDIR to a directory of yours whose path has at most {BASE_MOST} characters"
    )


def remove_stale() -> list[Path]:
    """End what killed runs of this user have left of their Ray, and remove its directories; returns those.

    A run that lives holds its lock, so nothing of it is touched, nor anything of another user.
    """
    removed = []
    for path in _of_this_user():
        with _unheld(path) as unheld:
            if unheld:
                _end_processes(path)
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
    return removed


# -- parts --


def _bases() -> list[Path]:
    """Return directories for temporary files, the preferred one first; all that any run may have used before."""
    places = [tempfile.gettempdir(), "/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR", "")]
    return list(dict.fromkeys(Path(place) for place in places if place.startswith("/")))


def _made(path: Path) -> RunDirectory:
    # Locked before it bears its name: whoever sees the name finds it held.
    fresh = path / "lock.new"
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(fd, str(os.getpid()).encode())
    fresh.rename(path / "lock")
    (path / "r").mkdir()
    return RunDirectory(path, fd)


def _of_this_user() -> Iterator[Path]:
    for base in _bases():
        with contextlib.suppress(OSError):
            for path in base.glob(f"{PREFIX}*"):
                found = path.lstat()
                if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                    yield path


@contextlib.contextmanager
def _unheld(path: Path) -> Iterator[bool]:
    """Yield whether the run of this directory has ended; it stays so within the block."""
    try:
        fd = os.open(path / "lock", os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        yield _abandoned(path)
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(fd)


def _abandoned(path: Path) -> bool:
    """Return whether its maker was killed before there was a lock: then there is nothing of Ray's in it either."""
    try:
        return time.time() - path.stat().st_mtime > UNLOCKED_KEEP_S and set(os.listdir(path)) <= {"lock.new"}
    except OSError:
        return False


def _end_processes(path: Path) -> None:
    """Kill what Ray still runs with files in ``path``: its workers outlive its servers by seconds, and hold ports."""
    found = [process for process in psutil.process_iter(["uids"]) if _is_of(process, path)]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=END_WAIT_S)


def _is_of(process: psutil.Process, path: Path) -> bool:
    uids = process.info["uids"]
    if uids is None or uids.real != os.getuid() or process.pid == os.getpid():
        return False
    try:
        words = process.cmdline()
        if not any(_is_rays(word) for word in words[:4]):  # and no pager or editor that looks at its logs
            return False
        return any(str(path) in word for word in words) or any(
            path in Path(file.path).parents for file in process.open_files()
        )
    except (psutil.Error, OSError):
        return False


def _is_rays(word: str) -> bool:
    """Return whether a word of a command line says that the process is Ray's: a server, a script, a titled worker."""
    return word.startswith("ray::") or Path(word).name in RAY_SERVERS or ("/ray/" in word and word.endswith(".py"))
