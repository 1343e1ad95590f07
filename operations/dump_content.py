"""What a backup's ``database.dump`` may hold: the rows of our tables.

The tables themselves are made by our own migrations.  An archive of format 1 says besides how its tables were made;
that is looked at, so that what a backup brings beyond data is found and named, and is never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from operations.pg_archive import Archive, ArchiveError, TocEntry
from operations.printable import printable
from operations.table_digests import SCHEMA, TABLES, VERSION_TABLE
from store import event_log_days

LOG: Final = "event_logs"
LOG_DEFAULT: Final = "event_logs_default"
DAYS: Final = range(2020, 2200)
DAYS_MOST: Final = 10_000
#: The longest row; a chunk's whole state is below a hundredth of it.
ROW_BYTES_MOST: Final = 8 << 20
REVISION_BYTES_MOST: Final = 64

_COPY: Final = re.compile(r"COPY public\.(\w+) \((\w+(?:, \w+)*)\) FROM stdin;\n", re.ASCII)
#: ``pg_dump`` writes no control character as it is, and of those that it writes as escapes no text of ours has any
#: but these; the others are for whoever prints them to a terminal.
_STRANGE: Final = re.compile(rb"[\x00-\x08\x0b-\x1f]|(?<!\\)(?:\\\\)*\\[^N\\nt]")

#: What there is once in every archive, and about the database itself, which is not made anew.
ABOUT_SESSION: Final = {
    "ENCODING": "SET client_encoding = 'UTF8';\n",
    "STDSTRINGS": "SET standard_conforming_strings = 'on';\n",
    "SEARCHPATH": "SELECT pg_catalog.set_config('search_path', '', false);\n",
}
ABOUT_DATABASE: Final = ("DATABASE", "DATABASE PROPERTIES")

_LIST: Final = r"\w+(?:, \w+)*"
_TYPE: Final = r"(?:text|integer|bigint|boolean|jsonb|timestamp with time zone|character varying\(32\))"
_DEFAULT: Final = r"(?: DEFAULT (?:0|false|now\(\)|'\{\}'::jsonb))?"
_COLUMN: Final = rf"    \w+ {_TYPE}{_DEFAULT}(?: CONSTRAINT \w+)?(?: NOT NULL)?"
_WORDS: Final = (
    r"    CONSTRAINT \w+ CHECK \(\((?:role|kind|outcome) = ANY "
    r"\(ARRAY\['\w+'::text(?:, '\w+'::text)*\]\)\)\)"
)
_MOVES: Final = r"kind = ANY \(ARRAY\['join'::text, 'crossing'::text, 'leave'::text\]\)"
_ON: Final = rf"ALTER TABLE ONLY {SCHEMA}\.\w+\n    ADD CONSTRAINT \w+ "
#: How our migrations' tables look when ``pg_dump`` writes them down, by kind of entry.
_OURS: Final = {
    kind: re.compile(form, re.ASCII)
    for kind, form in {
        "SCHEMA": rf"CREATE SCHEMA {SCHEMA};\n",
        "COMMENT": rf"COMMENT ON (?:SCHEMA {SCHEMA}|DATABASE [^;']+) IS '[^;']*';\n",
        "TABLE": rf"CREATE TABLE {SCHEMA}\.\w+ \(\n(?:(?:{_COLUMN}|{_WORDS}),?\n)+\)"
        r"(?:\nPARTITION BY RANGE \(at\))?;\n",
        "TABLE ATTACH": rf"ALTER TABLE ONLY {SCHEMA}\.{LOG} ATTACH PARTITION {SCHEMA}\.\w+ "
        r"(?:DEFAULT|FOR VALUES FROM \('[0-9 :+-]+'\) TO \('[0-9 :+-]+'\));\n",
        "CONSTRAINT": rf"{_ON}(?:PRIMARY KEY|UNIQUE) \({_LIST}\);\n",
        "FK CONSTRAINT": rf"{_ON}FOREIGN KEY \({_LIST}\) REFERENCES {SCHEMA}\.\w+\({_LIST}\)(?: ON DELETE CASCADE)?;\n",
        "INDEX": rf"CREATE INDEX \w+ ON (?:ONLY )?{SCHEMA}\.\w+ USING btree "
        rf"\((?:{_LIST}|\(\(payload ->> 'to(?:_chunk_id)?'::text\)\), at|lower\(agent_id\) text_pattern_ops)\)"
        rf"(?: WHERE \((?:(?:kind = '(?:chat|crossing|give)'|period = 'all')::text|{_MOVES})\))?;\n",
        "INDEX ATTACH": rf"ALTER INDEX {SCHEMA}\.\w+ ATTACH PARTITION {SCHEMA}\.\w+;\n",
    }.items()
}


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of one table: ``table`` they belong into, ``columns`` in their order."""

    entry: TocEntry
    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """All that is loaded of an archive.  ``rows``: in an order in which every row finds those it refers to."""

    archive: Archive
    rows: tuple[TableRows, ...]
    #: Days of the event log that had a partition of their own.
    days: tuple[date, ...]
    #: The revision of the migrations, by the archive's own table.
    revision: str

    def pieces(self, part: TableRows) -> Iterator[bytes]:
        """Yield a part's rows, see ``Archive.rows``.

        Raises:
            ArchiveError: also for what ``pg_dump`` does not write.
        """
        carried = 0
        odd = b""  # an escape may be cut in two
        for piece in self.archive.rows(part.entry):
            if _STRANGE.search(odd + piece):
                raise ArchiveError(f"the rows of {part.table} hold control characters")
            odd = b"\\" if _ends_in_escape(odd + piece) else b""
            newline = piece.rfind(b"\n")
            carried = carried + len(piece) if newline < 0 else len(piece) - newline - 1
            if carried > ROW_BYTES_MOST:
                raise ArchiveError(f"a row of {part.table} is longer than {ROW_BYTES_MOST} bytes")
            yield piece


def content_of(archive: Archive) -> Content:
    """Find our tables' rows in an archive, and nothing else.

    Raises:
        ArchiveError: there is something else in it; the text names it.
    """
    parts: dict[str, TableRows] = {}
    for entry in archive.entries:
        if entry.kind == "TABLE DATA":
            if entry.name in parts:
                raise ArchiveError(f"the rows of {entry.name!r} are in it twice")
            parts[entry.name] = _table_rows(archive, entry)
        else:
            _refuse_unless_ours(archive, entry)
    version = parts.pop(VERSION_TABLE, None)
    if version is None:
        raise ArchiveError("it says nothing of the migrations' revision")
    days = sorted(day for name in parts if (day := _day_of(name)) is not None)
    if len(days) > DAYS_MOST:
        raise ArchiveError(f"its event log has {len(days)} days")
    rows = sorted(parts.values(), key=lambda part: (TABLES.index(part.table), part.entry.name))
    return Content(archive, tuple(rows), tuple(days), _revision(archive, version))


def count_rows(content: Content) -> tuple[dict[str, int], int]:
    """Return how many rows each table has, and how many bytes all of them are; reads and checks every one.

    Raises ``ArchiveError``.
    """
    counts, unpacked = {VERSION_TABLE: 1}, 0
    for part in content.rows:
        counts.setdefault(part.table, 0)
        for piece in content.pieces(part):
            counts[part.table] += piece.count(b"\n")
            unpacked += len(piece)
    return counts, unpacked


def is_log(name: str) -> bool:
    """Return whether a table is a partition of the event log that we make."""
    return name == LOG_DEFAULT or _day_of(name) is not None


def _table_rows(archive: Archive, entry: TocEntry) -> TableRows:
    copy = _COPY.fullmatch(entry.copy)
    table = LOG if is_log(entry.name) else entry.name
    if table not in (*TABLES, VERSION_TABLE) or entry.schema != SCHEMA:
        raise ArchiveError(f"it holds rows of {printable(entry.schema)}.{entry.name!r}, which is no table of ours")
    if copy is None or copy[1] != entry.name or entry.statement:
        raise ArchiveError(f"the rows of {entry.name!r} begin with something else than a plain COPY: {entry.copy!r}")
    if not archive.has_rows(entry):
        raise ArchiveError(f"the rows of {entry.name!r} are missing")
    columns = tuple(copy[2].split(", "))
    if len(set(columns)) != len(columns):
        raise ArchiveError(f"the rows of {entry.name!r} have a column twice")
    return TableRows(entry, table, columns)


def _revision(archive: Archive, part: TableRows) -> str:
    found = b""
    for piece in archive.rows(part.entry):
        found += piece
        if len(found) > REVISION_BYTES_MOST:
            break
    revision = re.fullmatch(rb"(\w{1,32})\n", found, re.ASCII)
    if revision is None:
        raise ArchiveError(f"the migrations' revision in it can't be read: {found[:80]!r}")
    return revision[1].decode()


def _refuse_unless_ours(archive: Archive, entry: TocEntry) -> None:
    if archive.has_rows(entry):
        raise ArchiveError(f"it holds data of {printable(entry.kind)} {entry.name!r}")
    if entry.kind in ABOUT_DATABASE or ABOUT_SESSION.get(entry.kind) == entry.statement:
        return
    ours = _OURS.get(entry.kind)
    if ours is None:
        raise ArchiveError(f"it holds {printable(entry.kind)} {entry.name!r}, which is no data of ours")
    if entry.copy or not ours.fullmatch(entry.statement):
        raise ArchiveError(f"{entry.kind} {entry.name!r} is not made as ours are: {_shown(entry.statement)}")


def _day_of(name: str) -> date | None:
    try:
        day = event_log_days.day_of(name)
    except ValueError:
        return None
    return day if day is not None and day.year in DAYS else None


def _ends_in_escape(data: bytes) -> bool:
    return (len(data) - len(data.rstrip(b"\\"))) % 2 == 1


def _shown(statement: str) -> str:
    words = " ".join(statement.split())
    return repr(words[:200])
