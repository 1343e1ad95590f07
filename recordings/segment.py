"""The file format: a segment is a part of one life of one shard, in compressed blocks, with an index at its end.

    MAGIC  HEAD(segment head)  { BLOCK: HEAD(block head) DATA }  HEAD(index)  offset of the index, 8 bytes  END

``HEAD`` is a length (4 bytes), a checksum (16) and JSON; a block's head names length and checksum of its data, so the
file is read from its beginning where it has no index yet, and up to the last whole block where its end was torn off.
The data are zstandard with the dictionary, and hold records: kind (1 byte), length (4), bytes.  All numbers are little
endian.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
import zstandard

from recordings.entry import FORMAT, NUMBER_MOST, BadRecording, Header, field_of, number_of, texts_of

MAGIC: Final = b"CCREC\0\0\1"
END: Final = b"CCRECEND"
CHECK_BYTES: Final = 16
#: Bounds of what a reader takes from a file of somebody else's.
HEAD_BYTES_MOST: Final = 64_000_000
DATA_BYTES_MOST: Final = 256_000_000
#: The end of the year 9999: what a calendar can name.
MS_MOST: Final = 253_402_300_799_999

ENTRY: Final = b"E"
FRAME: Final = b"F"

_LENGTH: Final = struct.Struct("<I")
_OFFSET: Final = struct.Struct("<Q")
_RECORD: Final = struct.Struct("<cI")
DICTIONARY: Final = (Path(__file__).parent / "dictionary-1.txt").read_bytes()
LEVEL: Final = 9


class Torn(BadRecording):
    """The file ends in the middle of something: whoever wrote it was killed, or bytes are missing."""


@dataclass(slots=True)
class SegmentHead:
    """What a segment is a part of."""

    header: Header
    #: Number of its first entry, and the chain before it.
    first: int
    chain: str
    #: Unix time of its first entry, milliseconds.
    began_ms: int
    #: Whether whoever wrote it knew the entry before its first; if not, ``chain`` is empty.
    follows: bool = True
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"header": self.header.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SegmentHead:
        """Read what ``to_json`` wrote.  Raises ``BadRecording``."""
        try:
            return cls(
                header=Header.from_json(field_of(data, "header", dict)),
                first=number_of(data, "first"),
                chain=field_of(data, "chain", str),
                began_ms=number_of(data, "began_ms", most=MS_MOST),
                follows=field_of(data, "follows", bool),
                format=field_of(data, "format", int),
            )
        except BadRecording as error:
            raise BadRecording(f"the segment's head: {error}") from None


@dataclass(slots=True)
class BlockHead:
    """What is in a block: the index is made of these."""

    #: Numbers, ticks and Unix times (ms) of its first and last entry.
    entries: tuple[int, int]
    ticks: tuple[int, int]
    ms: tuple[int, int]
    #: Id of its last entry in Redis' stream.
    upto: str
    chain: str
    #: The chunks whose key frames stand at its beginning, where it begins with one; else None.
    frame: list[str] | None = None
    length: int = 0
    check: str = ""
    #: Where it lies in the file.
    at: int = 0
    unpacked: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: object) -> BlockHead:
        """Read what ``to_json`` wrote.  Raises ``BadRecording``."""
        if not isinstance(data, dict):
            raise BadRecording("a block's head is none")
        try:
            return cls(
                entries=_pair_of(data, "entries"),
                ticks=_pair_of(data, "ticks"),
                ms=_pair_of(data, "ms", MS_MOST),
                upto=field_of(data, "upto", str),
                chain=field_of(data, "chain", str),
                frame=None if data.get("frame") is None else texts_of(data, "frame"),
                length=number_of(data, "length", most=DATA_BYTES_MOST),
                check=field_of(data, "check", str),
                at=number_of(data, "at"),
                unpacked=number_of(data, "unpacked", most=DATA_BYTES_MOST),
            )
        except BadRecording as error:
            raise BadRecording(f"a block's head: {error}") from None


def _pair_of(data: dict[str, Any], name: str, most: int = NUMBER_MOST) -> tuple[int, int]:
    pair = field_of(data, name, list)
    if len(pair) != 2:
        raise BadRecording(f"{name} is no pair")
    first, last = (number_of({name: one}, name, most=most) for one in pair)
    return first, last


@dataclass(slots=True)
class Block:
    """A block that is being filled."""

    head: BlockHead
    records: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, kind: bytes, data: bytes) -> None:
        """Append a record."""
        self.records.append(_RECORD.pack(kind, len(data)) + data)
        self.size += len(data)


def records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of a block's data, by kind.

    Raises:
        BadRecording: they are cut off.
    """
    at = 0
    while at < len(data):
        if at + _RECORD.size > len(data):
            raise BadRecording("a record without its end")
        kind, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if at + length > len(data):
            raise BadRecording("a record without its end")
        yield kind, data[at : at + length]
        at += length


def _check(data: bytes) -> bytes:
    return blake2b(data, digest_size=CHECK_BYTES).digest()


def pack_head(value: dict[str, Any] | list[Any]) -> bytes:
    """Return JSON with its length and checksum."""
    data = orjson.dumps(value)
    return _LENGTH.pack(len(data)) + _check(data) + data


# -- writing --


def _dictionary() -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


class SegmentWriter:
    """Appends to one new file.  Raises ``OSError`` as the file system does."""

    def __init__(self, path: Path, head: SegmentHead) -> None:
        self.path = path
        self.head = head
        self.blocks: list[BlockHead] = []
        self._pack = zstandard.ZstdCompressor(level=LEVEL, dict_data=_dictionary(), write_checksum=False)
        # What agents say stands in it.
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._file.write(MAGIC + pack_head(head.to_json()))
        self.size = self._file.tell()

    def write(self, block: Block) -> None:
        """Append a block; it is on the disk after ``sync``."""
        raw = b"".join(block.records)
        data = self._pack.compress(raw)
        head = block.head
        head.length, head.check, head.unpacked = len(data), _check(data).hex(), len(raw)
        head.at = self.size
        self._file.write(pack_head(head.to_json()) + data)
        self.size = self._file.tell()
        self.blocks.append(head)

    def sync(self) -> None:
        """Return when everything written is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Write the index and close the file."""
        at = self._file.tell()
        self._file.write(pack_head([block.to_json() for block in self.blocks]) + _OFFSET.pack(at) + END)
        self.sync()
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is; what is in memory yet may be lost."""
        with contextlib.suppress(OSError):  # the disk that could not take it is full still
            self._file.close()


def complete(path: Path, is_taken: Callable[[str], bool] = lambda upto: True) -> bool:
    """Give a file without end its end: cut off what is torn, write the index; False: nothing of it can be used.

    Args:
        is_taken: Whether the entries up to an id are nowhere else any more.  Of these a damaged block that has others
            behind it is kept, with those; else all of it is cut off, for it is given again.
    """
    with path.open("r+b") as file:
        try:
            segment = Segment(file)
        except BadRecording:
            return False
        blocks, end = segment.blocks, segment.end
        for number, block in enumerate(blocks):
            if block.at in segment.damaged and not is_taken(block.upto):
                blocks, end = blocks[:number], block.at
                break
        if not blocks:
            return False
        if not segment.finished:
            file.truncate(end)
            file.seek(end)
            index = pack_head([block.to_json() for block in blocks])
            file.write(index + _OFFSET.pack(end) + END)
            file.flush()
            os.fsync(file.fileno())
    return True


# -- reading --


class Segment:
    """One file, open for reading.

    Raises:
        BadRecording: its beginning or its index is not what it should be.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpack = zstandard.ZstdDecompressor(dict_data=_dictionary())
        if self._read(len(MAGIC)) != MAGIC:
            raise BadRecording("not a segment of a recording, or of a later format")
        head = self._read_head("the segment's head")
        if not isinstance(head, dict):
            raise BadRecording("the segment's head is none")
        self.head = SegmentHead.from_json(head)
        self._first_block = file.tell()
        #: Whether it has its index: it was written to its end.
        self.finished = False
        #: Where the last whole block ends.
        self.end = self._first_block
        self.blocks: list[BlockHead] = []
        #: Of a file without index: where blocks begin whose data are damaged.
        self.damaged: set[int] = set()
        self._find_blocks()

    def data(self, block: BlockHead) -> bytes:
        """Return what a block holds.

        Raises:
            BadRecording: it is damaged; the message says what of it.
        """
        self._file.seek(block.at)
        written = self._read_head("a block's head")
        if BlockHead.from_json(written) != block:
            raise BadRecording("the index and the head of a block differ")
        data = self._read(block.length)
        if _check(data).hex() != block.check:
            raise BadRecording("the data of a block are not those that were written (checksum)")
        try:
            # A bound is heeded only where the data don't say their size (-1).
            if zstandard.frame_content_size(data) not in (-1, block.unpacked):
                raise BadRecording("a block of another size than its head says")
            return self._unpack.decompress(data, max_output_size=block.unpacked)
        except zstandard.ZstdError as error:
            raise BadRecording(f"a block that can't be unpacked: {error}") from None

    def _find_blocks(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        tail = _OFFSET.size + len(END)
        if size >= self._first_block + tail:
            self._file.seek(size - tail)
            offset = _OFFSET.unpack(self._read(_OFFSET.size))[0]
            if self._read(len(END)) == END:
                self._read_index(offset, size)
                return
        self._scan(size)

    def _read_index(self, offset: int, size: int) -> None:
        if not self._first_block <= offset < size:
            raise BadRecording("the index is not where the end of the file says")
        self._file.seek(offset)
        index = self._read_head("the index")
        if not isinstance(index, list):
            raise BadRecording("the index is none")
        self.blocks = [BlockHead.from_json(one) for one in index]
        self.finished = True
        self.end = offset

    def _scan(self, size: int) -> None:
        """Find the blocks of a file without index, one after the other; damaged ones too, but for the last."""
        at = self._first_block
        while at < size:
            self._file.seek(at)
            try:
                head = self._read_head("a block's head")
                block = BlockHead.from_json(head)
                end = self._file.tell() + block.length
                if end > size:
                    return
                if _check(self._read(block.length)).hex() != block.check:
                    if not self._goes_on_at(end):
                        return  # torn: what was being written last
                    self.damaged.add(block.at)
            except BadRecording:
                return
            self.blocks.append(block)
            at = self.end = end

    def _goes_on_at(self, at: int) -> bool:
        """Return whether another block begins there: the one before is damaged, and not the end."""
        self._file.seek(at)
        try:
            head = self._read_head("a block's head")
            BlockHead.from_json(head)
        except BadRecording:
            return False
        return True

    def _read_head(self, what: str) -> Any:
        length = _LENGTH.unpack(self._read(_LENGTH.size))[0]
        if length > HEAD_BYTES_MOST:
            raise BadRecording(f"{what} is damaged (length)")
        check = self._read(CHECK_BYTES)
        data = self._read(length)
        if _check(data) != check:
            raise BadRecording(f"{what} is damaged (checksum)")
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            raise BadRecording(f"{what} is no JSON") from None

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise Torn("the file ends too early")
        return data
