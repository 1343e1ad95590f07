"""Child processes that die with us: started in a session of their own, stopped by a ladder of signals.

A child gets no Ctrl-C from the terminal (we stop it in order) and, on Linux, a signal from the kernel when we are
killed.  Where the kernel has no such signal, ``leftovers`` finds the orphans at the next start.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from config.errors import OperatorError

PR_SET_PDEATHSIG: Final = 1
LOG_KEEP_BYTES: Final = 10_000_000
LOG_TAIL_LINES: Final = 15
LEFTOVER_WAIT_S: Final = 5.0


class ServiceError(OperatorError, RuntimeError):
    """An embedded server or a child process cannot be had; the text says what to do."""

    reason = "service_failed"


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of stopping a process: a signal, and how long to wait for its effect."""

    signal: signal.Signals
    wait_s: float


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port nobody listens on right now; who uses it must be ready to lose the race and ask again."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def spawn(
    argv: Sequence[str],
    *,
    log: Path | None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    uid: int | None = None,
    gid: int | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in its own session; call it from a thread that lives as long as the child should.

    Args:
        log: File that both output streams are appended to; None leaves them where ours go.
        uid, gid: Whom to run as; None keeps ours.
        death_signal: What the kernel sends the child when the starting thread ends for whatever reason (Linux only).
    """
    sink: int | None = None
    if log is not None:
        rotate(log)
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT if sink is not None else None,
            cwd=cwd,
            env=dict(env) if env is not None else None,
            user=uid,
            group=gid,
            extra_groups=[] if uid is not None else None,
            start_new_session=True,
            # After the change of user, which would clear the setting.
            preexec_fn=_die_with_parent(death_signal),
        )
    finally:
        if sink is not None:
            os.close(sink)


def stop(process: subprocess.Popen[bytes], ladder: Iterable[Rung]) -> None:
    """Send one signal after the other until ``process`` is gone, SIGKILL last; returns when it has been reaped."""
    for rung in ladder:
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(rung.signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rung.wait_s)
            return
    process.kill()
    process.wait()


def leftovers(name: str, directory: Path) -> list[psutil.Process]:
    """Return processes called ``name`` that run in ``directory``: what a killed run has left there."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != name:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()) == directory.resolve():
                found.append(process)
    return found


def end_leftovers(name: str, directory: Path, gentle: signal.Signals) -> int:
    """Stop what a killed run has left in ``directory``, by ``gentle`` first; returns how many there were.

    Only call it while holding the directory's lock.
    """
    found = leftovers(name, directory)
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(gentle)
    _, alive = psutil.wait_procs(found, timeout=LEFTOVER_WAIT_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=LEFTOVER_WAIT_S)
    return len(found)


def rotate(log: Path) -> None:
    """Move a log that has grown too long aside, over the one moved before."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_KEEP_BYTES:
            log.replace(log.with_suffix(log.suffix + ".1"))


def tail(log: Path) -> str:
    """Return the last lines of ``log``, for an error message; empty when there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-LOG_TAIL_LINES:])


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Loaded here and not after the fork, where only what is async-signal-safe is sound.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def set_death_signal() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return set_death_signal
