"""The list on disk: read again when it changes; nothing that goes wrong with it switches moderation off."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from api.limits.word_file import DEFAULT_LIST, FILE_MAX_BYTES, WordFile

_times = itertools.count(1_700_000_000)


def write(path: Path, content: str | bytes) -> None:
    """Write with a time of its own, whatever the file system's resolution."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    now = next(_times)
    os.utime(path, (now, now))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    write(path, "bad\n")
    return path


async def test_a_change_counts_without_a_restart(path: Path) -> None:
    words = WordFile(str(path))
    assert (words.find("bad"), words.find("worse")) == (1, None)
    write(path, "# the word was here\nworse\n")
    assert words.find("worse") is None
    await words.check()
    assert (words.find("bad"), words.find("worse")) == (None, 2)


async def test_it_looks_by_itself_while_it_runs(path: Path) -> None:
    words = WordFile(str(path), check_every_s=0.001)
    words.start()
    write(path, "worse\n")
    while words.find("worse") is None:
        await asyncio.sleep(0.001)
    await words.close()
    write(path, "bad\n")
    await asyncio.sleep(0.02)
    assert words.find("bad") is None


async def test_the_same_file_is_read_once(path: Path) -> None:
    words = WordFile(str(path))
    with capture_logs() as logs:
        await words.check()
        await words.check()
    assert logs == []


def spoil(path: Path, how: str) -> None:
    path.unlink()
    if how == "directory":
        path.mkdir()
    elif how == "loop":
        path.symlink_to(path)
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "too_large":
        write(path, b"a" * (FILE_MAX_BYTES + 1))


def repair(path: Path, content: str) -> None:
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    write(path, content)


@pytest.mark.parametrize("how", ["delete", "directory", "loop", "pipe", "too_large"])
async def test_what_cannot_be_read_leaves_the_last_good_list(path: Path, how: str) -> None:
    words = WordFile(str(path))
    spoil(path, how)
    with capture_logs() as logs:
        await words.check()
        await words.check()
    assert words.find("bad") == 1
    assert [entry["event"] for entry in logs] == ["banned_words_not_read"]
    assert logs[0]["log_level"] == "error"
    repair(path, "worse\n")
    await words.check()
    assert (words.find("bad"), words.find("worse")) == (None, 1)


def test_a_missing_file_at_the_start_means_our_own_list(tmp_path: Path) -> None:
    with capture_logs() as logs:
        words = WordFile(str(tmp_path / "nothing"))
    assert [entry["event"] for entry in logs] == ["banned_words_not_read"]
    assert words.find("shit") == WordFile(str(DEFAULT_LIST)).find("shit") is not None


async def test_a_file_that_comes_later_counts(tmp_path: Path) -> None:
    words = WordFile(str(tmp_path / "later"))
    write(tmp_path / "later", "worse\n")
    await words.check()
    assert (words.find("worse"), words.find("shit")) == (1, None)


def test_an_operator_may_have_nothing_banned(tmp_path: Path) -> None:
    write(tmp_path / "empty", "# nothing\n")
    assert WordFile(str(tmp_path / "empty")).find("shit") is None


def test_bad_lines_are_reported_by_number_and_the_others_count(path: Path) -> None:
    write(path, b"bad\nx\n\xff\xfe\xfd\nse*cret\nworse\n")
    with capture_logs() as logs:
        words = WordFile(str(path))
    assert (words.find("bad"), words.find("worse")) == (1, 5)
    (skipped,) = [entry for entry in logs if entry["event"] == "banned_words_lines_skipped"]
    assert skipped["lines"] == ["2: too_short", "3: bad_utf8", "4: star_inside"]
    assert "cret" not in str(logs)
    assert "worse" not in str(logs)
