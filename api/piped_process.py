"""A process behind two pipes that answers questions: when it is started, and how it is ended."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable

__all__ = ["PipedProcess"]


class PipedProcess:
    """Not for two threads at once, but for ``close``.  Nothing is started before the first question."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the running process, if there is one."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the process for good.  A thread that waits for it fails."""
        self._closed = True
        self._end()

    def _running(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Return the process, started if there is none.  Raises ``OSError``: it can't be."""
        process = self._process
        if process is None:
            process = self._process = start()
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()
