"""One shard's recording as it is written: entries into blocks, blocks into segments, each entry once.

An entry is known by its epoch and number and by its id in Redis' stream; the last of them stands in every block, so
whoever goes on after a kill reads there what it need not write again.  A segment ends where a key frame has come and
it is old or large enough, so that the next begins with a whole one, and where a life of the shard's memory ends.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from recordings.entry import FIRST_CHAIN, BadRecording, Header, RecordedUpTo, read_entry, unpack
from recordings.names import FINISHED, SegmentName
from recordings.segment import ENTRY, FRAME, Block, BlockHead, Segment, SegmentHead, SegmentWriter, records

log = structlog.get_logger(__name__)

BLOCK_BYTES_MOST: Final = 4_000_000
SEGMENT_BYTES: Final = 16_000_000
_TICK: Final = re.compile(rb'\{"n":\d+,"t":(-?\d+),')


@dataclass(frozen=True, slots=True)
class Given:
    """An entry as Redis' stream has it."""

    id: str
    shard: int
    position: RecordedUpTo
    message: bytes

    @property
    def ms(self) -> int:
        """When it was committed: Unix time by Redis' clock."""
        return int(self.id.partition("-")[0])


def is_after(one: str, other: str) -> bool:
    """Return whether a stream's id is above another."""
    return _words(one) > _words(other)


def _words(id_: str) -> tuple[int, int]:
    ms, _, seq = id_.partition("-")
    return int(ms), int(seq or 0)


class Lane:
    """Writes one shard's entries.

    Args:
        directory: Where its segments lie.
        segment_ms: How old a segment is at least when the next begins.
    """

    def __init__(self, directory: Path, shard: int, *, segment_ms: int) -> None:
        self._directory = directory
        self._shard = shard
        self._segment_ms = segment_ms
        self._header: Header | None = None
        self._last: RecordedUpTo | None = None
        self._last_id = "0-0"
        #: Id of the last entry that a former recorder wrote, if no key frame stands behind it.
        self._unframed: str | None = None
        self._writer: SegmentWriter | None = None
        self._block: Block | None = None
        #: The newest frame of each chunk; None once one may be missing.
        self._frames: dict[str, Any] = {}
        self.entries = 0
        self.repeated = 0
        #: Entries that never came: cut off in Redis before they were read.
        self.missing = 0

    def goes_on(self, segment: Segment, frames: dict[str, Any]) -> None:
        """Go on after what a former recorder has written; ``frames``: the newest of each chunk."""
        last = segment.blocks[-1]
        self._header = segment.head.header
        self._last = RecordedUpTo(segment.head.header.epoch, last.entries[1], last.chain)
        self._last_id = last.upto
        self._unframed = last.upto if last.entries[0] <= last.entries[1] else None
        self._frames = frames

    def knows(self, header: Header) -> None:
        """Take the header of the life that the next entry belongs to, where its first entry is elsewhere."""
        if self._header is None or header.epoch > self._header.epoch:
            self._header = header

    def add(self, given: Given) -> Header | None:
        """Take an entry; return the header of a life that begins with it.

        Raises:
            BadRecording: it is none, and is left out.
            OSError: it is not written, nor what came before it since ``flush``.
        """
        last, position = self._last, given.position
        if last is not None and not is_after(given.id, self._last_id) and _order(position) <= _order(last):
            self.repeated += 1
            if given.id == self._unframed:
                self._take_torn_frame(given)
            return None
        chain, body, frame = unpack(given.message)
        begun = self._begin_life(given, chain, body) if position.n == 0 else None
        if begun is None:
            self._go_on(given)
        if self._header is None:
            self.missing += 1  # of a life of which nothing is known it can't be run again
            return None
        self._write(given, body)
        if frame is not None:
            self._take_frame(given, frame)
        return begun

    def flush(self) -> None:
        """Return when everything taken is on the disk."""
        self._end_block()
        if self._writer is not None:
            self._writer.sync()

    def close(self) -> None:
        """End the segment: nothing more will come, or not soon."""
        self._end_segment()

    def abandon(self) -> None:
        """Drop what is not on the disk: something of it could not be written, and will be given again."""
        if self._writer is not None:
            self._writer.abandon()

    # -- lives --

    def _begin_life(self, given: Given, chain: str, body: bytes) -> Header:
        header = read_entry(chain, body).header
        if header is None:
            raise BadRecording("the first entry of a life without its header")
        self._end_segment()
        self._header, self._last, self._frames = header, None, {}
        self._begin_segment(given, FIRST_CHAIN, follows=True)
        return header

    def _go_on(self, given: Given) -> None:
        last, position = self._last, given.position
        known = last is not None and last.epoch == position.epoch
        if last is not None and known and position.n == last.n + 1:
            if self._writer is None:
                self._begin_segment(given, last.chain, follows=True)
            return
        self._end_segment()
        missing = position.n - (last.n + 1 if last is not None and known else 0)
        if last is not None:
            self.missing += missing
            log.error("recording_entries_missing", shard=self._shard, entries=missing, before=position.n)
        if self._header is not None and self._header.epoch != position.epoch:
            self._header = None
        self._frames = {}
        if self._header is not None:
            self._begin_segment(given, "", follows=False)

    # -- segments and blocks --

    def _begin_segment(self, given: Given, chain: str, *, follows: bool, next_n: int | None = None) -> None:
        assert self._header is not None
        first = given.position.n if next_n is None else next_n
        head = SegmentHead(self._header, first, chain, given.ms, follows)
        name = SegmentName(self._shard, given.ms, self._header.epoch, first, finished=False)
        self._writer = SegmentWriter(self._directory / str(name), head)

    def _end_segment(self) -> None:
        self._end_block()
        writer = self._writer
        if writer is None:
            return
        if writer.blocks:
            writer.finish()
            put_in_place(writer.path)
        else:
            writer.abandon()
            writer.path.unlink()
        self._writer = None  # until then ``abandon`` closes it

    def _end_block(self) -> None:
        block, self._block = self._block, None
        if block is not None and self._writer is not None:
            self._writer.write(block)

    def _write(self, given: Given, body: bytes) -> None:
        found = _TICK.match(body)
        if found is None:
            raise BadRecording("an entry without its tick")
        tick, n, chain = int(found[1]), given.position.n, given.position.chain
        block = self._block
        if block is None:
            head = BlockHead((n, n), (tick, tick), (given.ms, given.ms), given.id, chain)
            block = self._block = Block(head)
        head = block.head
        head.entries, head.ticks = (head.entries[0], n), (head.ticks[0], max(head.ticks[1], tick))
        head.ms, head.upto, head.chain = (head.ms[0], given.ms), given.id, chain
        block.add(ENTRY, chain.encode() + b"\n" + body)
        self._last, self._last_id = given.position, given.id
        self._unframed = None
        self.entries += 1
        if block.size > BLOCK_BYTES_MOST:
            self._end_block()

    def _take_torn_frame(self, given: Given) -> None:
        """Take the key frame, if there is one, of an entry that is the last on the disk: its own block was cut off."""
        self._unframed = None
        frame = unpack(given.message)[2]
        if frame is not None:
            self._take_frame(given, frame)

    def _take_frame(self, given: Given, data: bytes) -> None:
        """Begin a block with a key frame, and a segment if it is time."""
        try:
            frame = orjson.loads(data)
            shard, chunks = frame["shard"], frame["chunks"]
            tick, held = int(shard["tick"]), list(shard["chunks"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise BadRecording(f"a key frame that can't be read: {error}") from None
        before = self._frames
        changed = {one: frozen for one, frozen in chunks.items() if not _same(frozen, before.get(one))}
        self._frames = {one: chunks.get(one, before.get(one)) for one in held if one in chunks or one in before}
        whole = len(self._frames) == len(held)
        self._end_block()
        writer, n = self._writer, given.position.n
        if writer is None or (whole and self._is_full(writer, given.ms)):
            self._end_segment()
            self._begin_segment(given, given.position.chain, follows=True, next_n=n + 1)
            changed = self._frames
        at, chain = (given.ms, given.ms), given.position.chain
        head = BlockHead((n + 1, n), (tick, tick), at, given.id, chain, frame=list(changed))
        self._block = Block(head)
        self._block.add(FRAME, orjson.dumps({"shard": shard, "chunks": changed}))

    def _is_full(self, writer: SegmentWriter, ms: int) -> bool:
        """Return whether a segment is old or large enough to end."""
        return ms - writer.head.began_ms >= self._segment_ms or writer.size >= SEGMENT_BYTES


def _order(position: RecordedUpTo) -> tuple[int, int]:
    return position.epoch, position.n


def _same(one: Any, other: Any) -> bool:
    """Return whether two frames of a chunk say the same, but for the tick."""
    if other is None or one.keys() != other.keys():
        return False
    if any(one[name] != other[name] for name in one if name != "record"):
        return False
    return bool({**one["record"], "tick": 0} == {**other["record"], "tick": 0})


def put_in_place(path: Path) -> None:
    """Give a whole segment its final name.  Raises ``OSError``."""
    final = path.with_suffix(FINISHED)
    path.rename(final)
    directory = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def frames_of(segment: Segment, blocks: Iterable[BlockHead] | None = None) -> dict[str, Any]:
    """Return the newest frame of each chunk that is in a segment's last key frame, as far as the segment has them.

    Raises:
        BadRecording: the segment is damaged.
    """
    frames: dict[str, Any] = {}
    held: list[str] = []
    for block in segment.blocks if blocks is None else blocks:
        if block.frame is None:
            continue
        kind, data = next(records(segment.data(block)), (b"", b""))
        if kind != FRAME:
            raise BadRecording("a block without the key frame that its head names")
        frame = orjson.loads(data)
        frames |= frame["chunks"]
        held = frame["shard"]["chunks"]
    return {one: frames[one] for one in held if one in frames}
