from __future__ import annotations

import threading
from pathlib import Path

import pytest

from config.log_files import RotatingLog


def test_it_goes_on_in_the_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.log"
    for text in ("one\n", "two\n"):
        log = RotatingLog(path)
        log.write(text)
        log.close()
    assert path.read_text() == "one\ntwo\n"


def test_files_are_bounded_in_size_and_number(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = RotatingLog(path, most_bytes=100, kept=2)
    for number in range(100):
        log.write(f"line {number:03}\n")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["a.log", "a.log.1", "a.log.2"]
    assert all(file.stat().st_size <= 100 for file in files)
    kept = "".join(file.read_text() for file in reversed(files)).splitlines()
    assert kept == [f"line {number:03}" for number in range(100 - len(kept), 100)]


def test_lines_of_several_threads_stay_whole(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log", most_bytes=2_000, kept=100)

    def write(who: str) -> None:
        for _ in range(200):
            log.write(who * 20 + "\n")

    threads = [threading.Thread(target=write, args=(who,)) for who in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(who * 20 for who in "abcd" for _ in range(200))


def test_a_lone_surrogate_and_a_lost_file_stop_nobody(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log")
    assert log.write("\ud800\n") == 2
    log.close()
    assert log.write("lost\n") == 0


def test_a_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        RotatingLog(tmp_path / "file" / "a.log")
