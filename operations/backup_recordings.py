"""Recordings beside a backup: whole segments, which never change, copied as they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO

from config.settings import Settings
from operations.backup_files import RECORDINGS
from recordings.places import Directory, SegmentPlace, place_of


def place_of_settings(settings: Settings) -> SegmentPlace | None:
    """Return where this installation's whole segments lie; None: there are none yet.

    Raises:
        NoSuchPlace: the URL can't be used.
    """
    if settings.recordings_url:
        return place_of(settings.recordings_url)
    path = Path(settings.recordings_dir or Path(settings.data_dir) / RECORDINGS)
    return Directory(path) if path.is_dir() else None


def copy_recordings(place: SegmentPlace | None, directory: Path) -> int:
    """Copy the whole segments into ``directory``, which is made; return how many.

    One that is too old and goes meanwhile is left out.

    Raises:
        OSError: the place is away, or the disk full.
    """
    directory.mkdir(mode=0o700)
    copied = 0
    if place is None:
        return 0
    for kept in place.segments():
        if not kept.name.finished:
            continue
        try:
            with place.open(kept.name) as source:
                _copy(source, directory / str(kept.name))
        except FileNotFoundError:
            (directory / str(kept.name)).unlink(missing_ok=True)
            continue
        copied += 1
    return copied


def _copy(source: BinaryIO, path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as target:
        shutil.copyfileobj(source, target, 1_000_000)
        target.flush()
        os.fsync(target.fileno())
