"""Where Ray's sockets lie: short, ours alone, and gone after a run that was killed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cluster import ray_directory
from cluster.ray_directory import BASE_MOST, BELOW_BASE, SOCKET_PATH_MOST, make, remove_stale
from embedded.children import ServiceError

HOLDER = """
import sys, time
from cluster import ray_directory
directory = ray_directory.make()
file = open(directory.for_ray / "log", "w")
print(directory.path, flush=True)
time.sleep(600)
"""
#: Something with a file open; ``title`` is the first word after the script, as of a worker of Ray's or not.
STRAY = "import sys, time; file = open(sys.argv[2], 'a'); print('up', flush=True); time.sleep(600)"


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short directory that is the only one for temporary files."""
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as path:
        monkeypatch.setenv("TMPDIR", path)
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setattr(ray_directory, "_bases", lambda: [Path(path)])
        yield Path(path)


def test_only_its_user_may_enter(base: Path) -> None:
    before = os.umask(0)
    try:
        directory = make()
    finally:
        os.umask(before)
    assert directory.path.parent == base
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory.path / "lock").stat().st_mode) == 0o600
    directory.remove()
    directory.remove()
    assert list(base.iterdir()) == []


def test_long_tmpdir_is_left_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    directory = make()
    try:
        socket = f"{directory.for_ray}{BELOW_BASE.partition('/r')[2]}"
        assert len(socket) <= SOCKET_PATH_MOST
        assert list(long.iterdir()) == []
    finally:
        directory.remove()


def test_without_any_short_directory_one_line_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_directory, "_bases", lambda: [tmp_path / ("x" * 60), Path("/proc")])
    with pytest.raises(ServiceError, match=f"set TMPDIR .* at most {BASE_MOST} characters") as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python with a script; whatever still runs in the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str) -> subprocess.Popen[str]:
        running.append(subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_what_a_killed_run_left_is_removed_and_a_living_one_stays(
    base: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    living, killed = started(HOLDER), started(HOLDER)
    stays, goes = Path(line_of(living)), Path(line_of(killed))
    assert remove_stale() == []
    # A worker that has outlived its run.
    log = str(goes / "r" / "worker.log")
    stray, pager = started(STRAY, "ray::ChunkShard", log), started(STRAY, "less", log)
    assert (line_of(stray), line_of(pager)) == ("up", "up")
    killed.kill()
    killed.wait()
    assert remove_stale() == [goes]
    assert not psutil.pid_exists(stray.pid)
    assert pager.poll() is None
    assert sorted(base.iterdir()) == [stays]
    assert living.poll() is None


def test_a_directory_that_is_just_being_made_stays(base: Path) -> None:
    fresh, old, foreign = (base / f"ccray-{name}" for name in ("fresh", "old", "foreign"))
    for path in (fresh, old, foreign):
        path.mkdir()
    (foreign / "data").touch()  # nothing that we make
    for path in (old, foreign):
        os.utime(path, (0, time.time() - 3600))
    assert remove_stale() == [old]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_directories_of_others_and_links_stay(base: Path) -> None:
    theirs = base / "ccray-theirs"
    theirs.mkdir()
    (theirs / "lock").touch()
    os.chown(theirs, 12345, 12345)
    (base / "ccray-link").symlink_to(theirs)
    assert remove_stale() == []
    assert (theirs / "lock").exists()
