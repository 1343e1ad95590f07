"""Recordings beside a backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings
from operations.backup_files import RECORDINGS, new_backup, size_of
from operations.backup_recordings import copy_recordings, place_of_settings
from recordings.places import Directory, NoSuchPlace
from recordings.verify import verify
from tests.recordings.simulate import played, write


def test_whole_segments_are_taken_and_prove_themselves(tmp_path: Path) -> None:
    here = write(tmp_path / "here", played(seed=3, shards=1, ticks=60))
    (here / "shard-009-0000001000000-1-0.part").write_bytes(b"under way")
    copied = copy_recordings(Directory(here), tmp_path / "there")
    assert copied == len(list((tmp_path / "there").iterdir())) > 0
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "there").iterdir()} == {0o600}
    proof = verify(Directory(tmp_path / "there"))
    assert proof.same
    assert proof.entries > 0


def test_where_nothing_was_recorded_there_is_nothing_to_take(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    assert place_of_settings(settings) is None
    assert copy_recordings(None, tmp_path / "there") == 0
    (tmp_path / "recordings").mkdir()
    assert place_of_settings(settings) is not None
    with pytest.raises(NoSuchPlace):
        place_of_settings(Settings(recordings_url="no-such://place"))


def test_what_a_backup_that_broke_off_has_left_goes(tmp_path: Path) -> None:
    """Killed while it copied: the next one of the name clears it away."""
    with pytest.raises(KeyboardInterrupt), new_backup(tmp_path / "b") as partial:
        raise KeyboardInterrupt
    partial.mkdir()
    (partial / RECORDINGS).mkdir()
    (partial / RECORDINGS / "shard-000-0000001000000-1-0.ccrec").write_bytes(b"12345")
    assert size_of(partial) == 5
    left = []
    with pytest.raises(FileNotFoundError), new_backup(tmp_path / "b") as again:  # without the files of a backup
        left += [path.name for path in again.iterdir() if path.name == RECORDINGS]
    assert left == []
