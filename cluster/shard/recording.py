"""Writing a shard's recording to a file, for ``chunkcrawl replay``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

#: The size at which a recording ends (with its closing line), so that a forgotten setting can't fill a disk.
BYTES_MOST: Final = 2_000_000_000


class Recording:
    """One file of JSON lines.  Written through a buffer: what a killed process had not written out is missing."""

    def __init__(self, path: Path, bytes_most: int = BYTES_MOST) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What agents say stands in it.
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")
        self._room = bytes_most
        #: Called once by ``close``; it writes the closing line.
        self.closing: Callable[[], object] = lambda: None

    def write(self, line: str) -> None:
        """Append one line; dropped once the file is full or closed."""
        if self._file.closed:
            return
        self._file.write(line + "\n")
        self._room -= len(line) + 1
        if self._room < 0:
            self.close()

    def close(self) -> None:
        """Write the closing line and the file."""
        if self._file.closed:
            return
        self._room = 1_000_000
        self.closing()
        self._file.close()
