"""Valkey's append-only files after a power cut: a damaged end is cut off and kept aside, a lost manifest made anew.

A power cut may leave the last file cut short, or with zeroes or garbage where its end was under way to the disk, and
the manifest empty.  Valkey then refuses to start (of a file that is cut short it would drop the end without a word).
What is cut are whole commands and whole transactions, so a world is as it was a moment before.  Nothing is cut where
that would lose more than the end: the database's snapshots are the better way back then, and the error says so.

The commands are looked at by Valkey's own checkers, which its server is when it is called by their names.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from embedded.children import ServiceError

FOLDER: Final = "appendonlydir"
MANIFEST: Final = "appendonly.aof.manifest"
#: Beside FOLDER; the newest pieces that were cut off.
PIECES: Final = "cut-off"
PIECES_KEPT: Final = 10

#: Play that may be cut off.  More of it behind a bad place is no damaged end.
LOST_MOST_S: Final = 60
#: The same for a file without times, as earlier versions wrote it.
LOST_MOST_BYTES: Final = 64 * 1024**2
LOOK_BACK_BYTES: Final = 1024**2

_LINE: Final = re.compile(r"file (\S+) seq (\d+) type ([bih])(?: .*)?")
_NAME: Final = re.compile(r"appendonly\.aof\.(\d+)\.(base\.rdb|base\.aof|incr\.aof)")
_GOOD_UP_TO: Final = re.compile(r"ok_up_to=(\d+)")
_RDB_END: Final = re.compile(r"\[offset (\d+)\] Checksum OK")
_TIME: Final = re.compile(rb"#TS:(\d{10})\r\n")


class BeyondMending(ServiceError):
    """The files can't be made whole; the text names another way to bring the world back."""

    reason = "beyond_mending"

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"Valkey's data can't be read: {why}. The way back: move {folder} away and start again; "
            "the world then comes back from the database's last snapshots"
        )


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    number: int
    kind: str  # as in a manifest: b(ase), i(ncrement)

    def line(self) -> str:
        return f"file {self.name} seq {self.number} type {self.kind}\n"


def mend(directory: Path, server: Path, *, thorough: bool) -> list[str]:
    """Make the files in ``directory`` such that Valkey reads them; returns what to tell the operator, a line each.

    Only while no server runs there.  A kill at any moment leaves files that the next call mends.

    Args:
        directory: Valkey's own.
        server: its binary.
        thorough: look at every command, because Valkey has refused them; else only whether the end looks whole.

    Raises:
        BeyondMending: they can't be; nothing was changed but, perhaps, the manifest.
    """
    folder = directory / FOLDER
    if not folder.is_dir():
        return []
    notices: list[str] = []
    files = _listed(folder)
    if files is None:
        files = _listed_anew(folder)
        notices.append(f"Valkey's list of its files in {folder} was lost (a power cut?) and is written anew.")
    for file in files:
        if not (folder / file.name).is_file():
            raise BeyondMending(folder, f"{file.name} is missing")
    for file in files:
        path = folder / file.name
        good = _good_up_to(path, server, thorough=thorough)
        if good == path.stat().st_size:
            continue
        if good is None:
            raise BeyondMending(folder, f"{file.name} is damaged")
        if file.kind == "i" and file is not files[-1]:
            raise BeyondMending(folder, f"{file.name} is damaged, and {files[-1].name} goes on from it")
        notices.append(_cut(directory, path, good))
    return notices


# -- the list of files --


def _listed(folder: Path) -> list[_File] | None:
    """Return the files of the manifest in their order; None when there is none, or it is empty or garbage."""
    try:
        text = (folder / MANIFEST).read_bytes().decode("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    matches = [_LINE.fullmatch(line) for line in text.splitlines() if line and not line.startswith("#")]
    if not matches or None in matches or not text.endswith("\n"):
        return None
    files = [_File(match[1], int(match[2]), match[3]) for match in matches if match is not None]
    return [file for file in files if file.kind != "h"]


def _listed_anew(folder: Path) -> list[_File]:
    """Write the manifest from the names of the files, where they leave no doubt, and return them."""
    found = [(path.name, match) for path in sorted(folder.iterdir()) if (match := _NAME.fullmatch(path.name))]
    files = [_File(name, int(match[1]), match[2][0]) for name, match in found]
    bases, increments = ([file for file in files if file.kind == kind] for kind in "bi")
    if not files:
        (folder / MANIFEST).unlink(missing_ok=True)
        return []
    if len(bases) != 1 or len(increments) > 1:
        raise BeyondMending(
            folder, f"its list of files ({MANIFEST}) is lost, and their names leave more than one order"
        )
    fresh = folder / f"{MANIFEST}.new"
    with open(fresh, "w", opener=_private) as file:
        file.writelines(one.line() for one in (*bases, *increments))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / MANIFEST)
    _sync(folder)
    return [*bases, *increments]


# -- where a file is good --


def _good_up_to(path: Path, server: Path, *, thorough: bool) -> int | None:
    """Return up to which byte a file is good; None: not at all."""
    size = path.stat().st_size
    if path.suffix == ".rdb":
        return _rdb_end(path, server) if thorough else size
    if size == 0 or (not thorough and _tail(path, size, 2) == b"\r\n"):
        return size
    told = _GOOD_UP_TO.search(_checker("valkey-check-aof", server, path))
    if told is None:
        return None
    # A line that dates what follows and was cut short passes for a comment: what is appended to it would too.
    return _line_end(path, int(told[1]))


def _rdb_end(path: Path, server: Path) -> int | None:
    told = _RDB_END.search(_checker("valkey-check-rdb", server, path))
    return int(told[1]) if told is not None else None


def _checker(name: str, server: Path, path: Path) -> str:
    done = subprocess.run(
        [name, str(path)],
        executable=str(server),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout.decode(errors="replace")


def _line_end(path: Path, end: int) -> int:
    """Return where the last whole line before ``end`` ends."""
    while end > 0:
        tail = _tail(path, end, LOOK_BACK_BYTES)
        if (at := tail.rfind(b"\n")) >= 0:
            return end - len(tail) + at + 1
        end -= len(tail)
    return 0


def _tail(path: Path, end: int, count: int) -> bytes:
    """Return up to ``count`` bytes before ``end``."""
    with open(path, "rb") as file:
        file.seek(max(0, end - count))
        return file.read(min(count, end))


# -- cutting --


def _cut(directory: Path, path: Path, good: int) -> str:
    """Cut ``path`` off at ``good``, after copying the rest into a file of its own on the disk; return what to tell."""
    size = path.stat().st_size
    last, after = _times(path, good, size)
    if after is not None and last is not None and after - last > LOST_MOST_S:
        raise BeyondMending(
            path.parent, f"{path.name} is damaged at byte {good}, {after - last} s of play before its end"
        )
    if after is None and size - good > LOST_MOST_BYTES and not _is_zeroes(path, good):
        raise BeyondMending(path.parent, f"{path.name} is damaged at byte {good} of {size}")
    piece = _keep(directory, path, good)
    with open(path, "r+b") as file:
        file.truncate(good)
        file.flush()
        os.fsync(file.fileno())
    since = "" if last is None else f" after {datetime.fromtimestamp(last, UTC):%F %T} UTC"
    return (
        f"Valkey's {path.name} ended in {size - good} bytes that are no whole command (a power cut?): cut off, kept as "
        f"{piece}. What happened in the last moments{since} is lost."
    )


def _keep(directory: Path, path: Path, good: int) -> Path:
    pieces = directory / PIECES
    pieces.mkdir(mode=0o700, exist_ok=True)
    old = sorted(pieces.iterdir())
    for piece in old[: max(0, len(old) - PIECES_KEPT + 1)]:
        piece.unlink()
    piece = pieces / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{path.name}-{good}"
    with open(piece, "wb", opener=_private) as kept:
        for block in _blocks(path, good):
            kept.write(block)
        kept.flush()
        os.fsync(kept.fileno())
    _sync(pieces)
    return piece


def _times(path: Path, good: int, size: int) -> tuple[int | None, int | None]:
    """Return the Unix time of the last dated second before the cut, and of the last one behind it."""
    before = _TIME.findall(_tail(path, good, LOOK_BACK_BYTES))
    behind: Sequence[bytes] = _TIME.findall(_tail(path, size, min(size - good, LOOK_BACK_BYTES)))
    return (int(before[-1]) if before else None), (int(behind[-1]) if behind else None)


def _is_zeroes(path: Path, start: int) -> bool:
    return not any(block.strip(b"\0") for block in _blocks(path, start))


def _blocks(path: Path, start: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        while block := file.read(LOOK_BACK_BYTES):
            yield block


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
