"""A backup's directory: its files, the manifest, and how it comes to bear its name.

    DIR/database.dump    pg_dump, custom format
    DIR/world.jsonl.gz   the world in Redis, one JSON object a line (``cluster.world_dump``)
    DIR/manifest.json    when, of what versions, how many of what, a digest of every table
    DIR/SHA256SUMS       of the three, as ``sha256sum -c`` reads it

It is written as ``DIR.partial`` and renamed when everything is on the disk, so whatever bears the name is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from cluster.world_dump import WorldDump, from_lines, to_lines

FORMAT: Final = 1
DATABASE: Final = "database.dump"
WORLD: Final = "world.jsonl.gz"
MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
LOCK: Final = ".lock"
FILES: Final = (DATABASE, WORLD, MANIFEST)
PARTIAL: Final = ".partial"
BLOCK_BYTES: Final = 1 << 20


class BackupError(Exception):
    """A backup can't be made, or is not to be trusted; the text says why."""


@dataclass(frozen=True, slots=True)
class TableDigest:
    """``rows`` of a table, and the sum of their hashes, which does not depend on their order."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    ``revision``: of the migrations.  ``run_id`` and ``archived``: the facts of that run after that entry of
    ``stream:archive`` are in the dump, but happened after the world's moment; they are not counted in ``tables``.
    """

    chunkcrawl: str
    created_at: str
    server_major: int
    tool_major: int
    revision: str | None
    tables: dict[str, TableDigest]
    seed: int
    tick: int
    counts: dict[str, int]
    run_id: str | None
    archived: str
    format: int = field(default=FORMAT)

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Raises ``BackupError``."""
        try:
            raw: dict[str, Any] = orjson.loads(data)
            if raw.get("format") != FORMAT:
                raise BackupError(f"{MANIFEST} is of format {raw.get('format')}; this version reads format {FORMAT}")
            tables = {name: TableDigest(**digest) for name, digest in raw["tables"].items()}
            return cls(**{**raw, "tables": tables})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BackupError(f"{MANIFEST} can't be read: {error!r}") from None


# -- writing --


@contextlib.contextmanager
def new_backup(directory: Path) -> Iterator[Path]:
    """A directory to write into, which becomes ``directory`` when the block ends well and is gone otherwise.

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
        if path.name not in (*FILES, SUMS):
            raise BackupError(f"{partial} holds {path.name}, which is no part of a backup")
        path.unlink()


def write_world(path: Path, dump: WorldDump) -> None:
    """Write the world's lines, on the disk when this returns.  Raises ``OSError``."""
    with open(path, "xb", opener=_private) as file:
        # No name and no time inside: the same world gives the same bytes.
        with gzip.GzipFile("", "wb", 6, file, 0) as packed:
            for line in to_lines(dump):
                packed.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that only we can read, on the disk when this returns.  Raises ``OSError``."""
    with open(path, "xb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def finish_file(path: Path) -> None:
    """Have a file that another program wrote on the disk, readable by us only.  Raises ``OSError``."""
    path.chmod(0o600)
    sync(path)


def sync(path: Path) -> None:
    """Have a file or the names in a directory on the disk.  Raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def size_of(directory: Path) -> int:
    """Bytes of all its files."""
    return sum(path.stat().st_size for path in directory.iterdir())


def _write_sums(directory: Path) -> None:
    write_synced(directory / SUMS, "".join(f"{sha256(directory / n)}  {n}\n" for n in FILES).encode())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file.  Raises ``OSError``."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


# -- reading --


def check_sums(directory: Path) -> None:
    """Every file is there and has the bytes that were written.

    Raises:
        BackupError: one has not; the text names it.
    """
    if directory.name.endswith(PARTIAL):
        raise BackupError(f"{directory} is a backup that broke off")
    try:
        written = (directory / SUMS).read_bytes()
    except OSError as error:
        raise BackupError(f"{directory} is no backup: {SUMS} can't be read ({error})") from None
    lines = []
    for name in FILES:
        try:
            lines.append(f"{sha256(directory / name)}  {name}\n".encode())
        except OSError as error:
            raise BackupError(f"{name} can't be read: {error}") from None
        if lines[-1] not in written:
            raise BackupError(f"{name} is not what was written, or {SUMS} is not: the two differ")
    if written != b"".join(lines):
        raise BackupError(f"{SUMS} is not what was written")


def read_manifest(directory: Path) -> Manifest:
    """Raises ``BackupError``."""
    try:
        return Manifest.from_json((directory / MANIFEST).read_bytes())
    except OSError as error:
        raise BackupError(f"{MANIFEST} can't be read: {error}") from None


def read_world(directory: Path) -> WorldDump:
    """Raises ``BackupError``."""
    try:
        with gzip.open(directory / WORLD, "rb") as lines:
            return from_lines(lines)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BackupError(f"{WORLD} can't be read: {error}") from None
