"""Where segments lie: a directory and a URL do the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recordings.entry import BadRecording
from recordings.names import SegmentName, read_name
from recordings.places import NoSuchPlace, SegmentPlace, Several, place_of
from tests.recordings.away_store import AWAY_URL, FALTERING_URL


@pytest.fixture(params=["directory", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> SegmentPlace:
    if request.param == "url":
        return place_of(f"memory://{tmp_path.name}")
    (tmp_path / "there").mkdir()
    return place_of(str(tmp_path / "there"))


def test_segments_come_go_and_are_read_at_any_offset(place: SegmentPlace, tmp_path: Path) -> None:
    assert place.segments() == []
    names = [SegmentName(1, 2_000, 1, 0), SegmentName(0, 3_000, 1, 0), SegmentName(0, 1_000, 1, 0)]
    for name in names:
        (tmp_path / str(name)).write_bytes(b"0123456789")
        place.put(tmp_path / str(name))
    assert [one.name for one in place.segments()] == sorted(names)
    assert {one.size for one in place.segments()} == {10}
    with place.open(names[0]) as file:
        file.seek(4)
        assert file.read(3) == b"456"
    place.remove(names[0])
    place.remove(names[0])
    assert len(place.segments()) == 2
    with pytest.raises(FileNotFoundError), place.open(names[0]):
        pass


def test_one_that_was_finished_meanwhile_is_opened_under_its_final_name(tmp_path: Path) -> None:
    name = SegmentName(0, 1_000, 1, 0)
    (tmp_path / str(name)).write_bytes(b"x")
    with place_of(str(tmp_path)).open(SegmentName(0, 1_000, 1, 0, finished=False)) as file:
        assert file.read() == b"x"


@pytest.mark.parametrize("where", ["/nowhere/at/all", "no-such-protocol://user:secret@host/x"])
def test_no_such_place_is_a_line_without_secrets(where: str) -> None:
    with pytest.raises(NoSuchPlace) as error:
        place_of(where)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_names_are_read_as_written() -> None:
    for name in (SegmentName(3, 1_700_000_000_000, 12, 99), SegmentName(0, 0, 1, 0, finished=False)):
        assert read_name(str(name)) == name
    for other in ("recorder.lock", "shard-x-1-1-1.ccrec", "shard-000-1-1-1.ccrec.copy", "shard-000-1-1-1.spoilt"):
        assert read_name(other) is None


NAME = SegmentName(0, 1_000, 1, 0)


def open_one(place: SegmentPlace) -> None:
    with place.open(NAME):
        pass


@pytest.mark.parametrize(
    "ask",
    [
        lambda place: place.segments(),
        open_one,
        lambda place: place.put(Path(__file__)),
        lambda place: place.remove(NAME),
        lambda place: Several([place]).segments(),
    ],
)
def test_a_store_that_is_away_is_an_error_of_the_system_without_secrets(ask: Callable[[SegmentPlace], object]) -> None:
    with pytest.raises(OSError, match="EndpointGone: No connection to") as error:
        ask(place_of(AWAY_URL))
    told = str(error.value)
    assert "secret" not in told
    assert "store.example" not in told
    assert "\n" not in told
    assert len(told) == len("EndpointGone: ") + 200
    assert error.value.__cause__ is None


@pytest.mark.parametrize("read", [lambda file: file.read(3), lambda file: file.seek(4)])
def test_so_is_one_that_goes_while_a_file_is_open(read: Callable[[object], object]) -> None:
    with pytest.raises(OSError, match="EndpointGone"), place_of(FALTERING_URL).open(NAME) as file:
        read(file)


def test_what_the_reader_of_an_open_file_raises_stays_as_it_is() -> None:
    with pytest.raises(BadRecording, match="torn"), place_of(FALTERING_URL).open(NAME):
        raise BadRecording("torn")
