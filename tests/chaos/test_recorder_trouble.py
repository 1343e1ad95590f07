"""What befalls a recorder besides being killed, while agents play: the world goes on, and what is lost is named."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chaos.patched_tree import Patch
from tests.chaos.recorder_tree import SHORT_JOURNAL, recorder_tree
from tests.cluster.scenarios import run_scenario

LIMIT_S = 700

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(LIMIT_S + 20)]

#: Runs what follows the directory where that is a small file system of its own, which nobody else sees.
SMALL_DISK: Final = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=32m tmpfs "$0" && exec "$@"')


def befallen(tmp_path: Path, trouble: str, *patches: Patch, within: Sequence[str] = ()) -> dict[str, Any]:
    """What came of a trouble; the world itself must have noticed nothing of it."""
    orders, directory = tmp_path / "orders", tmp_path / "recordings"
    directory.mkdir()
    tree = recorder_tree(tmp_path / "tree", orders, *patches)
    words = (str(orders), str(directory), trouble)
    before = (*within, str(directory)) if within else ()
    module = "tests.chaos.recorder_trouble_scenario"
    found = run_scenario(module, *words, limit_s=LIMIT_S, tree=tree, within=before)
    print(found)
    assert found["accepted"] > 0
    assert (found["unsettled"], found["findings"]) == ([], [])
    assert found["ends"] is True
    return found


def test_away_for_longer_than_the_journal_keeps(tmp_path: Path) -> None:
    found = befallen(tmp_path, "away", SHORT_JOURNAL)
    assert found["seen"]["accepted_meanwhile"] > 0
    assert found["seen"]["missing"] > 0
    assert {one["field"] for one in found["recorded"]} == {"entries"}
    assert all("missing: never recorded" in one["what"] for one in found["recorded"])
    assert found["late"] == [], "what came after it can be run again"
    assert min(found["late_digests"], found["late_frames"]) > 0


def small_disks() -> bool:
    """Whether this machine lets us have one."""
    try:
        mounts = ("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
        return subprocess.run(mounts, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_a_full_disk(tmp_path: Path) -> None:
    if not small_disks():
        pytest.skip("this machine mounts no small file system for us")
    found = befallen(tmp_path, "full", within=SMALL_DISK)
    assert found["seen"]["accepted_meanwhile"] > 0
    assert found["seen"]["trouble"] == "OSError"
    assert found["seen"]["waiting"] > 0
    assert found["seen"]["same_process"] is True
    assert found["recorded"] == [], "nothing was lost"
    assert found["not_once"] == {}


def test_an_open_file_with_a_torn_end(tmp_path: Path) -> None:
    found = befallen(tmp_path, "torn")
    assert found["recorded"] == []
    assert found["not_once"] == {}


def test_an_open_file_with_a_damaged_block(tmp_path: Path) -> None:
    """What stands behind the block is kept."""
    found = befallen(tmp_path, "flipped")
    assert {one["segment"] for one in found["recorded"]} == {found["seen"]["damaged"]}
    assert "checksum" in {one["field"] for one in found["recorded"]} <= {"checksum", "key frame"}
    assert found["late"] == []
    assert found["late_digests"] > 0


def test_the_newest_file_without_a_readable_index(tmp_path: Path) -> None:
    found = befallen(tmp_path, "index")
    assert {one["segment"] for one in found["recorded"]} == {found["seen"]["damaged"]}
    assert {one["segment"] for one in found["late"]} == {found["seen"]["damaged"]}, "named whatever was asked for"
    assert found["late_digests"] > 0
