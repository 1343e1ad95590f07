"""Writing log lines off the event loop, so that a slow disk delays no agent.

Lines below warning are queued and written by a thread; a warning or worse is written at once, after all that is
queued, since the process may be about to end.  The order is that of the calls.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

__all__ = ["LINES_MOST", "LogWriter"]

#: How many lines may wait for the thread.  What comes beyond them is lost, and how many were lost is written.
LINES_MOST: Final = 10_000
#: How many lines are written at a time, so that a log file becomes little larger than it may.
BATCH_LINES: Final = 200
#: How long the thread lets lines gather.
GATHER_S: Final = 0.05


class LogWriter:
    """The part of a text stream that loggers use, before ``out``.

    A process that is killed loses what is queued: of the last ``GATHER_S``, unless the disk is slower.  One that ends
    by itself writes it.

    Args:
        lost_line: makes the line that says how many are missing in its place.
    """

    def __init__(self, out: TextIO, lost_line: Callable[[int], str], *, lines_most: int = LINES_MOST) -> None:
        self._out = out
        self._lost_line = lost_line
        self._lines_most = lines_most
        self._queue: deque[str] = deque()
        self._lost = 0
        #: Held while lines are taken from the queue and written, so that none overtakes another.
        self._lock = threading.RLock()
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False

    def later(self, line: str) -> None:
        """Queue a line; never waits, unless ``close`` was called."""
        if self._ended:
            self.write(line)
        elif len(self._queue) >= self._lines_most:
            self._lost += 1
        else:
            self._queue.append(line)
            if not self._due.is_set():
                self._due.set()
                if self._thread is None:
                    self._start()

    def write(self, text: str) -> int:
        """Write now, after what is queued."""
        with self._lock:
            self._drain()
            self._out.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is queued."""
        with self._lock:
            self._drain()
        self._out.flush()

    def isatty(self) -> bool:
        """Tell whether lines go to a terminal."""
        return self._out.isatty()

    def close(self) -> None:
        """Write what is queued and end the thread; lines that come later are written at once."""
        self._ended = True
        self._due.set()
        if self._thread is not None:
            self._thread.join(1)
        atexit.unregister(self._flush_at_end)
        self.flush()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                atexit.register(self._flush_at_end)
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()

    def _flush_at_end(self) -> None:
        with suppress(OSError, ValueError):  # closed before us
            self.flush()

    def _run(self) -> None:
        while not self._ended:
            self._due.wait()
            time.sleep(GATHER_S)
            self._due.clear()
            with self._lock, suppress(OSError, ValueError):  # nowhere to say it; the next lines may go through
                self._drain()

    def _drain(self) -> None:
        while self._queue:
            lines = [self._queue.popleft() for _ in range(min(BATCH_LINES, len(self._queue)))]
            self._out.write("".join(lines))
        if self._lost:
            lost, self._lost = self._lost, 0
            self._out.write(self._lost_line(lost))
