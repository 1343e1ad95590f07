"""The list of banned words on disk: read at the start and again, without a restart, when the file changes.

A file that can't be read, or is too large, changes nothing: the last good list stays (at the start: our own short
one), so a slip of the operator never switches moderation off.  What is wrong is logged once, by line number; the
words themselves are not.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from api.limits.banned_words import WordFilter, WordListFault, parse_list

__all__ = ["DEFAULT_LIST", "WordFile"]

log = structlog.get_logger(__name__)

DEFAULT_LIST: Final = Path(__file__).parent / "data" / "banned_words.txt"
FILE_MAX_BYTES: Final = 1_048_576
CHECK_EVERY_S: Final = 2.0
FAULTS_LOGGED_MAX: Final = 20


class _Stamp(NamedTuple):
    """What changes when a file does."""

    mtime_ns: int
    size: int
    inode: int


class _Reading(NamedTuple):
    stamp: _Stamp | None
    words: WordFilter | None
    faults: list[WordListFault]
    error: str


class WordFile:
    """The words of a file, as of at most ``check_every_s`` ago.

    Args:
        path: the operator's file; empty: ``DEFAULT_LIST``.
    """

    def __init__(self, path: str, *, check_every_s: float = CHECK_EVERY_S) -> None:
        self._path = Path(path) if path else DEFAULT_LIST
        self._check_every_s = check_every_s
        self._task: asyncio.Task[None] | None = None
        self._stamp: _Stamp | None = None
        self._words: WordFilter | None = None
        self._take(_read(self._path))
        if self._words is None:
            self._words = _read(DEFAULT_LIST).words or WordFilter()

    def find(self, text: str) -> int | None:
        """Return the line of an entry that ``text`` holds, or None."""
        return None if self._words is None else self._words.find(text)

    def start(self) -> None:
        """Begin to look at the file; needs a running event loop."""
        self._task = asyncio.create_task(self._watch(), name="banned-words")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def check(self) -> None:
        """Read the file again if it has changed.  Disk and parser work in a thread: others speak meanwhile."""
        if await asyncio.to_thread(_stamp_of, self._path) != self._stamp:
            self._take(await asyncio.to_thread(_read, self._path))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._check_every_s)
            await self.check()

    def _take(self, reading: _Reading) -> None:
        self._stamp = reading.stamp
        if reading.words is None:
            log.error("banned_words_not_read", path=str(self._path), reason=reading.error)
            return
        self._words = reading.words
        log.info("banned_words_read", path=str(self._path), entries=len(reading.words))
        if reading.faults:
            log.warning(
                "banned_words_lines_skipped",
                path=str(self._path),
                count=len(reading.faults),
                lines=[f"{fault.line}: {fault.reason}" for fault in reading.faults[:FAULTS_LOGGED_MAX]],
            )


def _stamp_of(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


def _read(path: Path) -> _Reading:
    if not path.is_file():  # opening a pipe would wait for a writer
        return _Reading(_stamp_of(path), None, [], "no_file")
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            stamp = _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
            content = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        return _Reading(_stamp_of(path), None, [], type(error).__name__)
    if len(content) > FILE_MAX_BYTES:
        return _Reading(stamp, None, [], "too_large")
    words, faults = parse_list(content.decode(errors="replace"))
    return _Reading(stamp, words, faults, "")
