"""Valkey's files as power cuts leave them: the server starts again with what is whole, and says what is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import redis as blocking

from embedded.append_only import FOLDER, LOST_MOST_S, MANIFEST, PIECES, PIECES_KEPT, BeyondMending, mend
from embedded.valkey import EmbeddedValkey, _binary

pytestmark = pytest.mark.services

PASSWORD = "for-tests"
BASE, LAST = "appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"
TRANSACTION = b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*2\r\n$4\r\nINCR\r\n$1\r\nm\r\n*1\r\n$4\r\nEXEC\r\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a Valkey was told that n is 1 to 10."""
    directory = tmp_path_factory.mktemp("aof") / "valkey"
    server = EmbeddedValkey(directory, PASSWORD)
    with blocking.Redis.from_url(server.start()) as client:
        for _ in range(10):
            client.incr("n")
    server.stop()
    assert server.notices == []
    return directory


@pytest.fixture
def directory(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "valkey"))


def started(directory: Path) -> tuple[int, list[str]]:
    """What n is after a start, and what was told."""
    server = EmbeddedValkey(directory, PASSWORD)
    try:
        with blocking.Redis.from_url(server.start()) as client:
            n = int(client.get("n") or 0)
            client.incr("later")
        return n, server.notices
    finally:
        server.stop()


def append(name: str, junk: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        with open(folder / name, "ab") as file:
            file.write(junk)

    return damage


def shorten(name: str, by: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - by)


@pytest.mark.parametrize(
    ("damage", "n"),
    [
        (append(LAST, bytes(4096)), 10),
        (append(LAST, b"\x93garbage\r\n" * 9), 10),
        (append(LAST, b"*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$4096\r\n" + bytes(4096)), 10),
        (append(LAST, TRANSACTION[:-9]), 10),
        (append(LAST, TRANSACTION[:-14] + bytes(512)), 10),
        (append(LAST, b"#TS:17960"), 10),
        (append(LAST, b"#TS:17960" + bytes(100)), 10),
        (shorten(LAST, 3), 9),
        (append(BASE, bytes(4096)), 10),
        (append(BASE, b"garbage"), 10),
    ],
    ids=[
        *("zeroes", "garbage", "zeroes in a value", "half a transaction", "a transaction in zeroes", "half a time"),
        *("a time in zeroes", "cut short", "zeroes after the base", "garbage after the base"),
    ],
)
def test_a_damaged_end_is_cut_off_kept_and_told(directory: Path, damage: Callable[[Path], None], n: int) -> None:
    folder = directory / FOLDER
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    damage(folder)
    damaged = {path.name: path.read_bytes() for path in folder.iterdir()}
    found, [notice] = started(directory)
    assert found == n
    [piece] = (directory / PIECES).iterdir()
    assert str(piece) in notice
    assert "is lost" in notice
    assert "\n" not in notice
    assert (piece.stat().st_mode & 0o777) == 0o600
    name = BASE if BASE in piece.name else LAST
    good = int(piece.name.rpartition("-")[2])
    assert damaged[name] == damaged[name][:good] + piece.read_bytes()
    assert whole[name].startswith(damaged[name][:good])
    assert started(directory) == (n, [])


def test_every_length_of_a_file_that_was_cut_short_starts(directory: Path, tmp_path: Path) -> None:
    """Wherever the power was cut: as many increments as are whole."""
    path = directory / FOLDER / LAST
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        mend(directory, _binary(), thorough=False)
        kept = path.read_bytes()
        assert whole.startswith(kept)
        assert kept.endswith(b"\r\n") or not kept
        assert kept.count(b"INCR") in (whole[:size].count(b"INCR"), whole[:size].count(b"INCR") - 1)
    assert len(list((directory / PIECES).iterdir())) == PIECES_KEPT


@pytest.mark.parametrize("junk", [b"", bytes(88), b"file appendonly"], ids=["empty", "zeroes", "half a line"])
def test_a_lost_manifest_is_written_anew(directory: Path, junk: bytes) -> None:
    (directory / FOLDER / MANIFEST).write_bytes(junk)
    found, [notice] = started(directory)
    assert (found, "anew" in notice) == (10, True)


def test_a_manifest_that_is_gone_is_written_anew(directory: Path) -> None:
    """Valkey would begin with nothing, over the old files."""
    (directory / FOLDER / MANIFEST).unlink()
    assert started(directory)[0] == 10


def test_a_folder_without_anything_in_it_is_a_beginning(directory: Path) -> None:
    for path in (directory / FOLDER).iterdir():
        path.unlink()
    (directory / FOLDER / MANIFEST).touch()
    assert started(directory)[0] == 0


def two_bases(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    shutil.copy(folder / BASE, folder / "appendonly.aof.2.base.rdb")


def damaged_middle(folder: Path) -> None:
    """A bad place, and minutes of play behind it."""
    with open(folder / LAST, "ab") as file:
        for second in range(LOST_MOST_S * 2):
            file.write(b"#TS:%d\r\n" % (1_900_000_000 + second) + TRANSACTION + (bytes(9) if second == 10 else b""))


@pytest.mark.parametrize(
    "damage",
    [shorten(BASE, 5), two_bases, damaged_middle, lambda folder: (folder / BASE).unlink()],
    ids=["base cut short", "two bases", "damaged in the middle", "base missing"],
)
def test_what_cant_be_mended_is_left_and_the_way_back_is_told(directory: Path, damage: Callable[[Path], None]) -> None:
    folder = directory / FOLDER
    damage(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BeyondMending, match="The way back: move .*appendonlydir away") as refused:
        started(directory)
    assert "\n" not in str(refused.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    folder.rename(directory / "moved-away")
    assert started(directory) == (0, [])
