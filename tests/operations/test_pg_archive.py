"""Archives of ``pg_dump``'s custom format that nobody of ours wrote: cut, changed, endless, packed to burst."""

from __future__ import annotations

import random
import zlib
from io import BytesIO
from pathlib import Path

import pytest

from operations import pg_archive
from operations.dump_content import content_of, count_rows
from operations.pg_archive import END, Archive, ArchiveError

VERSIONS = [(1, 14), (1, 15), (1, 16)]


def number(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def word(text: str | None) -> bytes:
    return number(-1) if text is None else number(len(text.encode())) + text.encode()


def entry(version: tuple[int, int], id_: int, kind: str, name: str, *, statement: str = "", copy: str = "") -> bytes:
    words = word("0") + word("0") + word(name) + word(kind) + number(3)
    words += word(statement) + word("") + word(copy) + word("public") + word(None) + word("")
    words += number(ord("r")) if version >= (1, 16) else b""
    return number(id_) + number(1) + words + word("me") + word("false") + word("7") + word(None) + b"\x02" + bytes(8)


def block(id_: int, *pieces: bytes) -> bytes:
    return b"\x01" + number(id_) + b"".join(number(len(piece)) + piece for piece in pieces) + number(0)


def archive(
    version: tuple[int, int], *blocks: bytes, packing: int = 1, entries: bytes | None = None, count: int = 2
) -> bytes:
    """One with a table ``agents`` (entry 2) and the migrations' revision (entry 1)."""
    head = b"PGDMP" + bytes([*version, 0, 4, 8, 1])
    head += bytes([packing]) if version >= (1, 15) else number(-packing)
    head += b"".join(number(1) for _ in range(7)) + word("db") + word("18.4") + word("18.4")
    if entries is None:
        columns = "agent_id, account_id, created_at"
        entries = entry(
            version, 1, "TABLE DATA", "alembic_version", copy="COPY public.alembic_version (version_num) FROM stdin;\n"
        ) + entry(version, 2, "TABLE DATA", "agents", copy=f"COPY public.agents ({columns}) FROM stdin;\n")
    return head + number(count) + entries + b"".join(blocks)


def packed(rows: bytes) -> bytes:
    return zlib.compress(rows + END)


REVISION = block(1, packed(b"0002\n"))
ROWS = b"a\tacc\t2026-01-01 00:00:00+00\nb\\\\x\tacc\t\\N\n"


def opened(tmp_path: Path, data: bytes) -> Archive:
    path = tmp_path / "database.dump"
    path.write_bytes(data)
    return Archive(path.open("rb"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("cut", [1, 7, 1_000])
def test_rows_come_out_as_they_went_in(tmp_path: Path, version: tuple[int, int], cut: int) -> None:
    data = packed(ROWS)
    pieces = [data[first : first + cut] for first in range(0, len(data), cut)]
    found = content_of(opened(tmp_path, archive(version, block(2, *pieces), REVISION)))
    assert b"".join(found.pieces(found.rows[0])) == ROWS
    assert (found.revision, count_rows(found)) == ("0002", ({"alembic_version": 1, "agents": 2}, len(ROWS)))
    plain = archive(version, block(2, ROWS, END), block(1, b"0002\n" + END), packing=0)
    found = content_of(opened(tmp_path, plain))
    assert b"".join(found.pieces(found.rows[0])) == ROWS


def test_rows_that_unpack_to_more_than_one_piece(tmp_path: Path) -> None:
    rows = b"".join(b"%d\tacc\tx%d\n" % (n, n * n) for n in range(200_000))
    found = content_of(opened(tmp_path, archive((1, 16), REVISION, block(2, packed(rows)))))
    assert b"".join(found.pieces(found.rows[0])) == rows


def look(tmp_path: Path, data: bytes) -> None:
    count_rows(content_of(opened(tmp_path, data)))


@pytest.mark.parametrize("version", VERSIONS)
def test_one_cut_off_anywhere_is_refused(tmp_path: Path, version: tuple[int, int]) -> None:
    whole = archive(version, REVISION, block(2, packed(ROWS)))
    look(tmp_path, whole)
    for length in range(len(whole)):
        with pytest.raises(ArchiveError):
            look(tmp_path, whole[:length])


def test_whatever_is_changed_in_it_ends_in_a_refusal_or_in_rows(tmp_path: Path) -> None:
    """Never in another error, an endless loop or a request for all of the memory."""
    whole = archive((1, 16), REVISION, block(2, packed(ROWS)))
    rng = random.Random(1)
    for _ in range(3_000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        try:
            look(tmp_path, bytes(data))
        except ArchiveError as error:
            assert str(error).isprintable()  # noqa: PT017


def big(size: int) -> bytes:
    """So many bytes of rows, packed."""
    packer, row = zlib.compressobj(9), b"a\tacc\tx\n" * (1 << 17)
    pieces = [packer.compress(row) for _ in range(size // len(row))]
    return b"".join(pieces) + packer.compress(END) + packer.flush()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\x1f\x8b" + bytes(100), "custom format"),
        (archive((1, 13)), "version"),
        (archive((1, 16), packing=3), "packed by something else"),
        (archive((1, 16), count=2**31 - 1), "entries"),
        (archive((1, 16), count=-1), "entries"),
        (archive((1, 16), entries=number(1) + number(1) + number(2**31), count=1), "a text of"),
        (archive((1, 16), REVISION, REVISION), "block of kind 1 for entry 1"),
        (archive((1, 16), REVISION, block(9, b"x")), "entry 9"),
        (archive((1, 16), b"\x03" + REVISION[1:]), "block of kind 3"),
        (archive((1, 16), REVISION), "rows of 'agents' are missing"),
        (archive((1, 16), REVISION, block(2, packed(ROWS), b"more")), "behind its packed rows"),
        (archive((1, 16), REVISION, block(2, zlib.compress(ROWS))), "do not end"),
        (archive((1, 16), REVISION, block(2, b"not packed")), "can't be unpacked"),
        (archive((1, 16), REVISION, block(2, packed(ROWS + b"\\.\nDROP TABLE x;\n"))), "control characters"),
        (archive((1, 16), REVISION, block(2, packed(b"a\x1b[31m\tacc\tx\n"))), "control characters"),
        (archive((1, 16), REVISION, block(2, packed(b"a\\x1b\tacc\tx\n"))), "control characters"),
        (archive((1, 16), block(1, packed(b"x" * 10_000)), block(2, packed(ROWS))), "revision"),
        (archive((1, 16), REVISION, block(2, packed(b"a" * (9 << 20)))), "longer than|unpack to more"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_pg_dump_writes(tmp_path: Path, data: bytes, match: str) -> None:
    with pytest.raises(ArchiveError, match=match):
        look(tmp_path, data)


def test_rows_packed_to_fill_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_archive, "RATIO_FREE_BYTES", 1 << 20)
    data = archive((1, 16), REVISION, block(2, big(256 << 20)))
    assert len(data) < 2 << 20
    found = opened(tmp_path, data)
    given: list[int] = []
    with pytest.raises(ArchiveError, match="unpack to more"):
        given.extend(len(piece) for piece in found.rows(found.entries[1]))
    assert sum(given) < 160 << 20


def test_a_cut_escape_is_told_from_a_whole_one(tmp_path: Path) -> None:
    """Pieces end anywhere, in the middle of an escape too."""
    for text, fine in (
        (b"a\\\\b\tc\n", True),
        (b"a\\\\\\b\tc\n", False),
        (b"a\\\\\\\\x\tc\n", True),
        (b"a\\x\n", False),
    ):
        for cut in range(1, len(text)):
            data = archive((1, 16), block(1, b"0002\n" + END), block(2, text[:cut], text[cut:] + END), packing=0)
            if fine:
                look(tmp_path, data)
            else:
                with pytest.raises(ArchiveError, match="control characters"):
                    look(tmp_path, data)


def test_it_takes_no_file_that_is_none() -> None:
    with pytest.raises(OSError, match="fileno"):
        Archive(BytesIO(b"PGDMP"))
