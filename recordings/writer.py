"""What a recorder does with entries: each shard's into its lane, all of them onto the disk together.

What a kill leaves, and who goes on from there:

- before ``flush``: nothing of what was given since the last one, or a torn block at the end of a file.  Redis has the
  entries still; the torn end is cut off when the next recorder opens the directory.
- after ``flush``, before they are taken out of Redis: they are given again and left out, by the last entry's id.
- while a segment is finished: a file ``.part`` with or without its index; the next recorder gives it its end and name.
- after the renaming: nothing is open.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson
import structlog

from recordings.entry import BadRecording, Header
from recordings.lane import Given, Lane, frames_of, is_after, put_in_place
from recordings.names import SPOILT, SegmentName, read_name
from recordings.segment import Segment, complete

log = structlog.get_logger(__name__)

LOCK_NAME: Final = "recorder.lock"


class InUse(OSError):
    """Another recorder writes into this directory."""


class RecordingWriter:
    """Writes what it is given into a directory.  Not for several threads at once.

    Args:
        segment_s: How old a segment is when the next begins.
        waiting: Id of the oldest entry that is still given, also if it was written; None: there is none.

    Raises:
        InUse: somebody else does.
        OSError: the directory can't be used.
    """

    def __init__(self, directory: Path, *, segment_s: int, waiting: str | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory
        self._segment_ms = segment_s * 1_000
        self._waiting = waiting
        self._lanes: dict[int, Lane] = {}
        #: Headers of lives that others have seen begin, by shard.
        self.headers: dict[int, Header] = {}
        self.unreadable = 0
        self._lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise InUse(f"another recorder writes into {directory}") from None
        try:
            self._recover()
        except BaseException:
            os.close(self._lock)  # the next try takes it again
            raise

    def add(self, given: Iterable[Given]) -> dict[int, Header]:
        """Take entries; return the headers of lives that began, by shard.

        Raises:
            OSError: what was given since the last ``flush`` may be lost: make another writer, give it again.
        """
        begun = {}
        for one in given:
            try:
                header = self._lane(one.shard).add(one)
            except BadRecording as error:
                self.unreadable += 1
                log.error("recording_entry_unreadable", entry_id=one.id, shard=one.shard, error=str(error))
                continue
            if header is not None:
                begun[one.shard] = header
        return begun

    def flush(self) -> None:
        """Return when everything taken is on the disk.  Raises as ``add``."""
        for lane in self._lanes.values():
            lane.flush()

    def close(self) -> None:
        """End all segments, and let others write here."""
        for lane in self._lanes.values():
            lane.close()
        os.close(self._lock)

    def abandon(self) -> None:
        """Drop what is not on the disk, and let others write here."""
        for lane in self._lanes.values():
            lane.abandon()
        os.close(self._lock)

    def counts(self) -> Mapping[str, int]:
        """Return how many entries were written, given again, and missing."""
        lanes = self._lanes.values()
        return {
            "entries": sum(lane.entries for lane in lanes),
            "repeated": sum(lane.repeated for lane in lanes),
            "missing": sum(lane.missing for lane in lanes) + self.unreadable,
        }

    def _lane(self, shard: int) -> Lane:
        lane = self._lanes.get(shard)
        if lane is None:
            lane = self._lanes[shard] = Lane(self.directory, shard, segment_ms=self._segment_ms)
            if shard in self.headers:
                lane.knows(self.headers[shard])
        return lane

    # -- what a former recorder has left --

    def _recover(self) -> None:
        """Give every open segment its end, and let each lane go on after its newest."""
        names = sorted(name for path in self.directory.iterdir() if (name := read_name(path.name)) is not None)
        newest: dict[int, SegmentName] = {}
        for name in names:
            path = self.directory / str(name)
            if not name.finished:
                if not complete(path, self._is_taken):
                    # Without a whole block nothing was taken out of Redis for it.
                    path.rename(path.with_suffix(SPOILT))
                    continue
                put_in_place(path)
            newest[name.shard] = name
        for shard, name in newest.items():
            final = SegmentName(name.shard, name.began_ms, name.epoch, name.first)
            self._go_on(shard, self.directory / str(final))

    def _is_taken(self, upto: str) -> bool:
        return self._waiting is None or is_after(self._waiting, upto)

    def _go_on(self, shard: int, path: Path) -> None:
        with path.open("rb") as file:
            try:
                segment = Segment(file)
            except BadRecording as error:
                log.error("recording_damaged", segment=path.name, error=str(error))
                return
            try:
                frames = frames_of(segment)
            except (BadRecording, orjson.JSONDecodeError, KeyError, TypeError) as error:
                log.error("recording_damaged", segment=path.name, error=str(error))
                frames = {}  # they come anew: each chunk is in one now and then
            self._lane(shard).goes_on(segment, frames)
