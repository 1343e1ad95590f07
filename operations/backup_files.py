"""A backup's directory: its files, the manifest, and how it comes to bear its name.

    DIR/database.dump    the rows of our tables: pg_dump, custom format (format 1: with the tables' making)
    DIR/world.jsonl.gz   the world in Redis, one JSON object a line (``operations.world_dump``)
    DIR/manifest.json    when, of what versions, how many of what, a digest of every table
    DIR/SHA256SUMS       of the three, as ``sha256sum -c`` reads it

It is written as ``DIR.partial`` and renamed when everything is on the disk, so whatever bears the name is whole.

One that is read may come from anybody: nothing but these four regular files is opened, whatever they say, and every
size and number in them has a bound.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Final, Literal

import orjson
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from config.errors import OperatorError
from operations.pg_archive import RATIO_FREE_BYTES, RATIO_MOST
from operations.world_bounds import WorldOutOfBounds, check_bounds
from operations.world_dump import WorldDump, from_lines, to_lines

FORMAT: Final = 2
#: 1: ``database.dump`` says besides how its tables were made (which is never run).
FORMATS: Final = (1, 2)
DATABASE: Final = "database.dump"
WORLD: Final = "world.jsonl.gz"
MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
LOCK: Final = ".lock"
FILES: Final = (DATABASE, WORLD, MANIFEST)
#: A directory beside them, where recordings were asked for; their files have sums of their own.
RECORDINGS: Final = "recordings"
PARTIAL: Final = ".partial"
BLOCK_BYTES: Final = 1 << 20
SUMS_BYTES_MOST: Final = 4 << 10
MANIFEST_BYTES_MOST: Final = 1 << 20
#: The longest line, which is one chunk or one agent.
LINE_BYTES_MOST: Final = 8 << 20
WORLD_BYTES_MOST: Final = 2 << 30


class BackupError(OperatorError):
    """A backup can't be made, or is not to be trusted; the text says why."""

    reason = "bad_backup"


Count = Annotated[int, Field(ge=0, le=2**50)]
Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
EntryId = Annotated[str, Field(pattern=r"^[0-9]{1,14}-[0-9]{1,14}$")]


def _whole(digest: object) -> object:
    """Return a digest without an exponent, which earlier versions wrote where it ends in zeroes."""
    if isinstance(digest, str) and re.fullmatch(r"[0-9.]{1,40}E\+[0-9]{1,2}", digest):
        return str(int(Decimal(digest)))
    return digest


@dataclass(frozen=True, slots=True)
class TableDigest:
    """``rows`` of a table, and the sum of their hashes, which does not depend on their order."""

    rows: Count
    digest: Annotated[str, BeforeValidator(_whole), Field(pattern=r"^[0-9]{1,40}$")]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    ``revision``: of the migrations.  ``run_id`` and ``archived``: the facts of that run after that entry of
    ``stream:archive`` are in the dump, but happened after the world's moment; they are not counted in ``tables``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    chunkcrawl: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+!\-]{1,64}$")]
    created_at: Annotated[str, Field(pattern=r"^[0-9T:+\-]{10,32}$")]
    server_major: Annotated[int, Field(ge=1, le=1_000)]
    tool_major: Annotated[int, Field(ge=1, le=1_000)]
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,32}$")] | None
    tables: dict[Name, TableDigest]
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    tick: Count
    counts: dict[Name, Count]
    run_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,64}$")] | None
    archived: EntryId
    format: Literal[1, 2] = field(default=FORMAT)

    def to_json(self) -> bytes:
        """Return the manifest as it is written into its file."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read a manifest.  Raises ``BackupError``."""
        try:
            raw: Any = orjson.loads(data)
            if isinstance(raw, dict) and raw.get("format") not in FORMATS:
                known = " and ".join(str(number) for number in FORMATS)
                raise BackupError(f"{MANIFEST} is of format {raw.get('format')!a}; this version reads {known}")
            return _MANIFEST.validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise BackupError(f"{MANIFEST} can't be read: {place!a}: {first['msg']}") from None
        except orjson.JSONDecodeError as error:
            raise BackupError(f"{MANIFEST} can't be read: {error}") from None


_MANIFEST: Final = TypeAdapter(Manifest)


# -- writing --


@contextlib.contextmanager
def new_backup(directory: Path) -> Iterator[Path]:
    """Yield a directory to write into, which becomes ``directory`` when the block ends well and is gone otherwise.

    Raises:
        BackupError: ``directory`` is there already, or somebody writes it at this moment.
        OSError: it can't be written (a full disk).
    """
    if directory.exists():
        raise BackupError(f"{directory} is there already; a backup is never written over")
    partial = directory.with_name(directory.name + PARTIAL)
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial.mkdir(mode=0o700, exist_ok=True)
    with _locked(partial):
        _clear(partial)
        try:
            yield partial
            _write_sums(partial)
            (partial / LOCK).unlink()
            sync(partial)
            os.rename(partial, directory)  # which fails when somebody has made it meanwhile
            sync(directory.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextlib.contextmanager
def _locked(partial: Path) -> Iterator[None]:
    fd = os.open(partial / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise BackupError(f"another backup is being written to {partial}") from None
    try:
        yield
    finally:
        os.close(fd)


def _clear(partial: Path) -> None:
    """Remove what a backup that broke off has left; what is not ours stops us."""
    for path in partial.iterdir():
        if path.name == LOCK:
            continue
        if path.name == RECORDINGS and path.is_dir():
            shutil.rmtree(path)
            continue
        if path.name not in (*FILES, SUMS):
            raise BackupError(f"{partial} holds {path.name}, which is no part of a backup")
        path.unlink()


def write_world(path: Path, dump: WorldDump) -> None:
    """Write the world's lines and flush them to the disk.  Raises ``OSError``."""
    with open(path, "xb", opener=_private) as file:
        # No name and no time inside: the same world gives the same bytes.
        with gzip.GzipFile("", "wb", 6, file, 0) as packed:
            for line in to_lines(dump):
                packed.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that only we can read and flush it to the disk.  Raises ``OSError``."""
    with open(path, "xb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def finish_file(path: Path) -> None:
    """Flush a file that another program wrote to the disk, readable by us only.  Raises ``OSError``."""
    path.chmod(0o600)
    sync(path)


def sync(path: Path) -> None:
    """Flush a file, or the names in a directory, to the disk.  Raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def size_of(directory: Path) -> int:
    """Return the bytes of all files of a backup."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _write_sums(directory: Path) -> None:
    write_synced(directory / SUMS, "".join(f"{sha256(directory / n)}  {n}\n" for n in FILES).encode())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file.  Raises ``OSError``."""
    with open(path, "rb") as file:
        return _digest(file)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


# -- reading --


@contextlib.contextmanager
def opened(directory: Path, name: str) -> Iterator[BinaryIO]:
    """Open one of a backup's files for reading.

    Raises:
        BackupError: it is not there, or is a link, a pipe or whatever else is not a regular file.
    """
    try:
        # A pipe must not hold us up, and a link must not lead us to a file that the backup's maker can't read.
        fd = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise BackupError(f"{directory} is no whole backup: {name} can't be read ({why})") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BackupError(f"{directory} is no backup: {name} is no regular file")
    with os.fdopen(fd, "rb") as file:
        yield file


def check_sums(directory: Path) -> None:
    """Check that every file is there and has the bytes that were written.

    Raises:
        BackupError: one has not; the text names it.
    """
    if directory.name.endswith(PARTIAL):
        raise BackupError(f"{directory} is a backup that broke off")
    written = _small(directory, SUMS, SUMS_BYTES_MOST)
    lines = []
    for name in FILES:
        with opened(directory, name) as file:
            lines.append(f"{_digest(file)}  {name}\n".encode())
        if lines[-1] not in written:
            raise BackupError(f"{name} is not what was written, or {SUMS} is not: the two differ")
    if written != b"".join(lines):
        raise BackupError(f"{SUMS} is not what was written: it has to name {', '.join(FILES)} and nothing else")


def read_manifest(directory: Path) -> Manifest:
    """Read a backup's manifest.  Raises ``BackupError``."""
    return Manifest.from_json(_small(directory, MANIFEST, MANIFEST_BYTES_MOST))


def read_world(directory: Path) -> WorldDump:
    """Read the world, every record of it within its bounds.  Raises ``BackupError``."""
    try:
        with opened(directory, WORLD) as file:
            dump = from_lines(_lines(file))
        check_bounds(dump)
    except (OSError, EOFError, ValueError, zlib.error, WorldOutOfBounds) as error:
        raise BackupError(f"{WORLD} can't be read: {error}") from None
    return dump


def _small(directory: Path, name: str, most: int) -> bytes:
    with opened(directory, name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise BackupError(f"{name} is longer than {most} bytes")
    return data


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a packed file.  Raises ``ValueError`` for those that are there to fill the memory."""
    most = min(WORLD_BYTES_MOST, max(RATIO_FREE_BYTES, RATIO_MOST * os.fstat(file.fileno()).st_size))
    given = 0
    with gzip.GzipFile(fileobj=file) as lines:
        while line := lines.readline(LINE_BYTES_MOST + 1):
            given += len(line)
            if len(line) > LINE_BYTES_MOST:
                raise ValueError(f"a line is longer than {LINE_BYTES_MOST} bytes")
            if given > most:
                raise ValueError(f"it unpacks to more than {most} bytes")
            yield line
