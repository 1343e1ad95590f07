"""What is known of a recording without running it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recordings import kept
from recordings.chunk_past import read_past
from recordings.kept import KeptPast, read_kept
from recordings.past_page import Gap
from recordings.places import Directory
from recordings.track import Catalog
from tests.recordings.simulate import played, write

TICKS = 240


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments of some 80 ticks."""
    return write(tmp_path_factory.mktemp("kept"), played(seed=6, shards=1, ticks=TICKS), flush_every=20)


@pytest.fixture
def directory(recording: Path, tmp_path: Path) -> Path:
    """A copy of the recording."""
    return Path(shutil.copytree(recording, tmp_path / "recorded"))


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.ccrec"))


def of(directory: Path) -> KeptPast:
    return read_kept(Catalog(Directory(directory)), "chunk-0")


def test_from_the_first_tick_on(directory: Path) -> None:
    found = of(directory)
    assert len(segments(directory)) > 2
    assert found.first == 0
    assert found.last == TICKS
    assert found.gaps == []
    assert found.gaps_from == found.first
    ticks, times = zip(*found.points, strict=True)
    assert list(ticks) == sorted(set(ticks))
    assert list(times) == sorted(times)
    assert all(ms == 1_000_000 + tick * 200 for tick, ms in found.points)
    assert KeptPast.unpack(found.pack()) == found


def test_the_oldest_segments_are_gone(directory: Path) -> None:
    first, *_ = segments(directory)
    first.unlink()
    found = of(directory)
    assert found.first is not None
    assert found.first > 1
    catalog = Catalog(Directory(directory))
    page = read_past(catalog, "chunk-0", found.first, found.first + 3)
    assert page.gap is None
    assert page.state is not None
    before = read_past(catalog, "chunk-0", found.first - 1, found.first + 3)
    assert before.gap is not None
    assert before.gap.last == found.first - 1


def test_a_hole_is_where_pages_have_it(directory: Path) -> None:
    _, lost, *_ = segments(directory)
    lost.unlink()
    [gap] = of(directory).gaps
    assert gap.reason == "missing"
    page = read_past(Catalog(Directory(directory)), "chunk-0", gap.first + 1, TICKS)
    assert page.gap is not None
    assert page.gap.reason == "missing"
    assert page.gap.last in (gap.last, gap.last + 1)  # the first tick after it is in its key frame


def test_one_that_is_damaged(directory: Path) -> None:
    _, spoilt, *_ = segments(directory)
    spoilt.write_bytes(b"nonsense")
    [gap] = of(directory).gaps
    assert gap.reason == "missing"


def test_other_rules(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recordings.entry.Header.why_not_here", lambda self: "another version")
    found = of(directory)
    assert {gap.reason for gap in found.gaps} == {"other_rules"}
    assert found.gaps[0].first <= 1
    assert found.gaps[-1].last == TICKS


def test_a_few_segments_an_answer(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest first; the next answer knows more."""
    monkeypatch.setattr(kept, "OPENED_MOST", 1)
    catalog = Catalog(Directory(directory))
    known_from = [read_kept(catalog, "chunk-0").gaps_from for _ in segments(directory)]
    assert known_from == sorted(known_from, reverse=True)
    assert known_from[0] > known_from[-1]
    assert read_kept(catalog, "chunk-0").gaps_from == 0
    assert read_kept(catalog, "chunk-0").first == 0


def test_nothing_is_recorded(tmp_path: Path) -> None:
    assert of(tmp_path) == KeptPast()


def test_points_and_gaps_are_bounded(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "POINTS_MOST", 2)
    monkeypatch.setattr(kept, "GAPS_MOST", 1)
    _, lost, _, other, *_ = segments(directory)
    lost.unlink()
    other.unlink()
    found = of(directory)
    assert len(found.points) <= 3
    assert found.points[-1][0] == TICKS
    assert len(found.gaps) == 1
    assert isinstance(found.gaps[0], Gap)
