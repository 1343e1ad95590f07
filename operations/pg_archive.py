"""Reading what ``pg_dump`` writes in its custom format, without running anything of it.

``pg_restore`` takes an archive at its word: every entry's statement is sent to the server, even the one that is to
begin a table's data.  Here an archive is only bytes: its entries, and the rows of those that have rows.  Every number
in it is doubted, and it is never held in memory as a whole.

The format is that of PostgreSQL's pg_backup_archiver.c, archive versions 1.14 to 1.16 (``pg_dump`` 14 to 18).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, Final

from config.errors import OperatorError

MAGIC: Final = b"PGDMP"
VERSIONS: Final = ((1, 14), (1, 15), (1, 16))
FORMAT_CUSTOM: Final = 1
DATA_BLOCK: Final = 1
#: How rows are packed, by the header's byte, from 1.15 on.
PLAIN, GZIP = 0, 1

ENTRIES_MOST: Final = 100_000
TEXT_BYTES_MOST: Final = 1 << 16
DEPENDENCIES_MOST: Final = 10_000
NUMBER_BYTES: Final = range(1, 9)

READ_BYTES: Final = 1 << 18
UNPACK_BYTES: Final = 1 << 20
#: Nothing of ours packs better; what does is there to fill a disk.  Below the second figure nobody minds.
RATIO_MOST: Final = 300
RATIO_FREE_BYTES: Final = 64 << 20
#: What ``pg_dump`` puts behind a table's last row.
END: Final = b"\\.\n\n\n"


class ArchiveError(OperatorError):
    """It is no archive of ``pg_dump``'s custom format, or not a whole one, or beyond a bound; the text says why."""

    reason = "bad_archive"


@dataclass(frozen=True, slots=True)
class TocEntry:
    """One entry of the table of contents.  ``statement``: what makes it.  ``copy``: what would begin its rows."""

    number: int
    kind: str
    schema: str
    name: str
    statement: str
    copy: str


class Archive:
    """An archive in an open file, which stays the caller's.

    Args:
        file: Seekable, and read from its beginning.

    Raises:
        ArchiveError: its head or its table of contents can't be read, or its blocks of rows do not fit the latter.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = os.fstat(file.fileno()).st_size
        file.seek(0)
        self._head()
        self.entries = self._contents()
        self._blocks = self._find_blocks()

    def has_rows(self, entry: TocEntry) -> bool:
        """Return whether there is a block of rows, be it empty, for the entry."""
        return entry.number in self._blocks

    def rows(self, entry: TocEntry) -> Iterator[bytes]:
        """Yield the entry's rows as ``COPY ... FROM STDIN`` takes them, in pieces that may end in the middle of one.

        Raises:
            ArchiveError: they are damaged, or there are more than their packed size can honestly hold.
        """
        held = b""  # what may be the end
        for piece in self._unpacked(self._blocks[entry.number]):
            held += piece
            if len(held) > len(END):
                yield held[: -len(END)]
                held = held[-len(END) :]
        if held != END:
            raise ArchiveError(f"the rows of {entry.name!r} do not end")

    # -- for the head and the table of contents --

    def _head(self) -> None:
        if self._bytes(len(MAGIC)) != MAGIC:
            raise ArchiveError("it is not of pg_dump's custom format")
        self._version = (self._byte(), self._byte())
        self._byte()  # the version's third part
        self._number_bytes, self._offset_bytes, form = self._byte(), self._byte(), self._byte()
        if self._version not in VERSIONS or form != FORMAT_CUSTOM:
            raise ArchiveError(f"it is of version {self._version}, form {form}, which is not known here")
        if self._number_bytes not in NUMBER_BYTES or self._offset_bytes not in NUMBER_BYTES:
            raise ArchiveError("its numbers are of an unknown size")
        packing = self._byte() if self._version >= (1, 15) else int(self._number() != 0)  # a level, before
        if packing not in (PLAIN, GZIP):
            raise ArchiveError("it is packed by something else than gzip")
        self._packed = packing == GZIP
        for _ in range(7):
            self._number()  # when it was made
        for _ in range(3):
            self._text()  # of which database, by which versions

    def _contents(self) -> tuple[TocEntry, ...]:
        count = self._number()
        if not 0 <= count <= ENTRIES_MOST:
            raise ArchiveError(f"it says that it has {count} entries")
        return tuple(self._entry() for _ in range(count))

    def _entry(self) -> TocEntry:
        number = self._number()
        self._number()  # whether it has rows; the blocks say so
        self._text(), self._text()  # object ids
        name, kind = self._text(), self._text()
        self._number()  # section
        statement, _drop, copy, schema = self._text(), self._text(), self._text(), self._text()
        self._text(), self._text()  # tablespace, access method
        if self._version >= (1, 16):
            self._number()  # kind of relation
        self._text(), self._text()  # owner, "false"
        for _ in range(DEPENDENCIES_MOST):
            if self._text_or_none() is None:
                break
        else:
            raise ArchiveError(f"{kind!r} {name!r} depends on too much")
        self._bytes(1 + self._offset_bytes)  # where its rows are; ``_find_blocks`` looks by itself
        return TocEntry(number, kind, schema, name, statement, copy)

    def _find_blocks(self) -> dict[int, int]:
        """Return where each entry's rows begin, by its number, passing over the blocks from the first to the last."""
        known = {entry.number for entry in self.entries}
        if len(known) != len(self.entries):
            raise ArchiveError("two of its entries have one number")
        found: dict[int, int] = {}
        while self._left:
            kind, number = self._byte(), self._number()
            if kind != DATA_BLOCK or number not in known or number in found:
                raise ArchiveError(f"it has a block of kind {kind} for entry {number}, which is not of rows")
            found[number] = self._file.tell()
            while size := self._number():
                self._pass_over(size)
        return found

    # -- for rows --

    def _unpacked(self, start: int) -> Iterator[bytes]:
        if not self._packed:
            yield from self._pieces(start)
            return
        unpacker, taken, given = zlib.decompressobj(), 0, 0
        try:
            for packed in chain(self._pieces(start), (b"",)):
                taken += len(packed)
                while True:
                    piece = unpacker.decompress(packed, UNPACK_BYTES)
                    packed = unpacker.unconsumed_tail
                    given += len(piece)
                    if given > max(RATIO_FREE_BYTES, taken * RATIO_MOST):
                        raise ArchiveError(f"{taken} bytes in it unpack to more than {given}")
                    yield piece
                    if unpacker.eof or (not packed and len(piece) < UNPACK_BYTES):
                        break
                if unpacker.unused_data:
                    raise ArchiveError("something lies behind its packed rows")
        except zlib.error as error:
            raise ArchiveError(f"its rows can't be unpacked: {error}") from None
        if not unpacker.eof:
            raise ArchiveError("its packed rows do not end")

    def _pieces(self, start: int) -> Iterator[bytes]:
        position = start
        while True:
            self._file.seek(position)
            self._left = os.fstat(self._file.fileno()).st_size - position
            size = self._number()
            if size == 0:
                return
            while size:
                piece = self._bytes(min(size, READ_BYTES))
                size -= len(piece)
                position = self._file.tell()
                yield piece  # after which somebody else may have moved the file's position
                self._file.seek(position)

    # -- for what everything is made of --

    def _bytes(self, count: int) -> bytes:
        data = self._file.read(count) if 0 <= count <= self._left else b""
        if len(data) != count:
            raise ArchiveError("it is cut off")
        self._left -= count
        return data

    def _pass_over(self, count: int) -> None:
        if not 0 <= count <= self._left:
            raise ArchiveError("it is cut off")
        self._file.seek(count, os.SEEK_CUR)
        self._left -= count

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _number(self) -> int:
        negative = self._byte()
        number = int.from_bytes(self._bytes(self._number_bytes), "little")
        return -number if negative else number

    def _text(self) -> str:
        return self._text_or_none() or ""

    def _text_or_none(self) -> str | None:
        size = self._number()
        if size < 0:
            return None
        if size > TEXT_BYTES_MOST:
            raise ArchiveError(f"a text of {size} bytes is in its table of contents")
        try:
            return self._bytes(size).decode()
        except UnicodeDecodeError:
            raise ArchiveError("a text in its table of contents is not UTF-8") from None
