"""A log file of bounded size: when it is full it becomes ``name.1``, what was ``name.1`` becomes ``name.2``."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final, TextIO

FILE_MOST_BYTES: Final = 10 * 1024 * 1024
KEPT: Final = 4


class RotatingLog:
    """The part of a text stream that loggers use; for one process, any number of its threads.

    A disk that is full loses lines, it does not stop whoever logs.
    """

    def __init__(self, path: Path, *, most_bytes: int = FILE_MOST_BYTES, kept: int = KEPT) -> None:
        """Open the file, and make its directory.  Raises ``OSError``."""
        self._path = path
        self._most_bytes = most_bytes
        self._kept = kept
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file: TextIO
        self._size = 0
        self._open()

    def write(self, text: str) -> int:
        """Write text, as ``print`` asks for it; return its length."""
        with self._lock:
            try:
                if self._size + len(text) > self._most_bytes and self._size:
                    self._rotate()
                self._file.write(text)
                self._file.flush()
            except (OSError, ValueError):
                return 0
            self._size += len(text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is flushed."""

    def isatty(self) -> bool:
        """Return False: it is no terminal."""
        return False

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _open(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(fd, "a", encoding="utf-8", errors="backslashreplace")
        self._size = os.fstat(fd).st_size

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._kept, 0, -1):
            older = self._path if number == 1 else self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
