"""A recorder that is killed at any point, and the next that goes on: each entry once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from recordings import lane
from recordings.entry import RecordedUpTo, unpack
from recordings.lane import Given, is_after
from recordings.names import read_name
from recordings.places import Directory
from recordings.replay import entries_of
from recordings.segment import BlockHead, Segment, SegmentWriter
from recordings.verify import verify
from recordings.writer import InUse, RecordingWriter
from tests.recordings.simulate import played, write

SEGMENT_S: Final = 15
BATCH: Final = 100


@pytest.fixture(scope="module")
def given() -> list[Given]:
    return played(seed=7, shards=2, ticks=150)


class Killed(BaseException):
    """The process ends here."""


class Killer:
    """Ends a recorder at its n-th step: before and after each write, sync, end of a file and renaming."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.step = 0
        self.where = ""

    def pass_by(self, where: str) -> None:
        self.step += 1
        if self.step == self.at:
            self.where = where
            raise Killed

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            self.pass_by(f"before {name}")
            result = function(*args, **named)
            self.pass_by(f"after {name}")
            return result

        return wrapped

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("write", "sync", "finish"):
            patch.setattr(SegmentWriter, name, self.around(name, getattr(SegmentWriter, name)))
        patch.setattr(lane, "put_in_place", self.around("renaming", lane.put_in_place))
        patch.setattr(SegmentWriter, "__init__", self.around("a new file", SegmentWriter.__init__))


def kill(writer: RecordingWriter, torn: int) -> None:
    """What a kill leaves: nothing of what was in memory; of the last file all but some bytes that were not synced."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for one in writer._lanes.values():
        open_file = one._writer
        if open_file is None or open_file._file.closed:
            continue
        synced = open_file.path.stat().st_size
        if torn:
            open_file._file.flush()
            written = open_file.path.stat().st_size
            os.truncate(open_file.path, max(synced, written - torn))
        os.dup2(nowhere, open_file._file.fileno())
    os.close(nowhere)
    os.close(writer._lock)


def record(directory: Path, given: list[Given], acked: list[str]) -> RecordingWriter:
    """Give everything that was not acknowledged, as the recorder does, and acknowledge what is on the disk."""
    writer = RecordingWriter(directory, segment_s=SEGMENT_S)
    holder.append(writer)
    left = [one for one in given if not acked or is_after(one.id, acked[-1])]
    for at in range(0, len(left), BATCH):
        batch = left[at : at + BATCH]
        writer.add(batch)
        writer.flush()
        acked.append(batch[-1].id)
    writer.close()
    return writer


holder: list[RecordingWriter] = []


@pytest.fixture(autouse=True)
def no_writer_left() -> Iterator[None]:
    yield
    holder.clear()


def entries(directory: Path) -> Iterator[RecordedUpTo]:
    for path in sorted(directory.glob("*.ccrec")):
        with path.open("rb") as file:
            segment = Segment(file)
            for block in segment.blocks:
                for entry in entries_of(segment.data(block)):
                    yield RecordedUpTo(segment.head.header.epoch, entry.n, entry.chain)


def steps_of(given: list[Given], directory: Path) -> int:
    """How many steps a recorder takes that is not killed."""
    killer = Killer(0)
    with pytest.MonkeyPatch.context() as patch:
        killer.install(patch)
        record(directory, given, [])
    return killer.step


@pytest.mark.parametrize("torn", [0, pytest.param(7, marks=pytest.mark.slow)])
def test_killed_at_every_point_each_entry_is_there_once(given: list[Given], tmp_path: Path, torn: int) -> None:
    steps = steps_of(given, tmp_path / "whole")
    assert steps > 50
    # Each kind of step at its beginning, and then some.
    for at in [*range(1, 11), *range(11 + torn, steps + 1, 3 if torn else 16)]:
        directory, acked = tmp_path / str(at), list[str]()
        killer = Killer(at)
        with pytest.MonkeyPatch.context() as patch:
            killer.install(patch)
            with pytest.raises(Killed):
                record(directory, given, acked)
        kill(holder[-1], torn)
        record(directory, given, acked)
        counted = Counter(entries(directory))
        assert counted == Counter(one.position for one in given), (at, killer.where)
        assert [finding.line for finding in verify(Directory(directory)).findings] == [], (at, killer.where)
        assert not list(directory.glob("*.part"))


def test_entries_given_again_are_left_out(given: list[Given], tmp_path: Path) -> None:
    """The answer of the acknowledging was lost: all of it comes again, to this recorder and the next."""
    writer = RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    writer.add(given[:500])
    writer.flush()
    writer.add(given[:500])
    writer.close()
    assert writer.counts() == {"entries": 500, "repeated": 500, "missing": 0}
    other = RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    other.add(given)
    other.close()
    assert other.counts()["repeated"] == 500
    assert list(Counter(entries(tmp_path)).values()) == [1] * len(given)


def test_what_was_cut_off_in_redis_is_counted_and_the_rest_goes_on(given: list[Given], tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    writer.add(given[:400])
    writer.add(given[500:])
    writer.close()
    assert writer.counts() == {"entries": len(given) - 100, "repeated": 0, "missing": 100}
    verdict = verify(Directory(tmp_path))
    assert {finding.field for finding in verdict.findings} == {"entries"}
    assert all("missing" in finding.what for finding in verdict.findings)
    whole = verify(Directory(write(tmp_path / "whole", given)))
    assert 0 < verdict.digests < whole.digests, "it is run again from the next key frame on"


def test_a_recorder_that_begins_in_the_middle_of_a_life_goes_on(given: list[Given], tmp_path: Path) -> None:
    """On another machine: it has the headers that the one before has left, and nothing else."""
    first = RecordingWriter(tmp_path / "first", segment_s=SEGMENT_S)
    headers = first.add(given[:600])
    first.close()
    second = RecordingWriter(tmp_path / "second", segment_s=SEGMENT_S)
    second.headers = headers
    second.add(given[600:])
    second.close()
    assert second.counts() == {"entries": len(given) - 600, "repeated": 0, "missing": 0}
    for path in (tmp_path / "second").glob("*.ccrec"):
        path.rename(tmp_path / "first" / path.name)
    verdict = verify(Directory(tmp_path / "first"))
    assert [finding.line for finding in verdict.findings] == []
    assert verdict.entries == len(given)


def test_one_recorder_at_a_time(tmp_path: Path) -> None:
    first = RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    with pytest.raises(InUse):
        RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    first.close()
    RecordingWriter(tmp_path, segment_s=SEGMENT_S).close()


def test_an_entry_that_is_none_is_left_out_and_counted(given: list[Given], tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    writer.add(given[:10])
    bad = Given(f"{given[9].ms + 1}-0", 0, RecordedUpTo(1, given[9].position.n + 1, "x"), b"nonsense")
    writer.add([bad])
    writer.close()
    assert writer.counts()["missing"] == 1


def test_segments_are_cut_by_age_and_readable_by_their_owner_alone(given: list[Given], tmp_path: Path) -> None:
    write(tmp_path, given, segment_s=SEGMENT_S)
    names = [name for path in tmp_path.iterdir() if (name := read_name(path.name)) is not None]
    assert len(names) > 3
    assert all(name.finished for name in names)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.ccrec")} == {0o600}


def damaged(given: list[Given], directory: Path) -> tuple[Path, list[BlockHead]]:
    """An open file with a damaged block in its middle, and its blocks."""
    writer = RecordingWriter(directory, segment_s=10**6)
    for at in range(0, len(given), BATCH):
        writer.add(given[at : at + BATCH])
        writer.flush()
    writer.abandon()
    path = sorted(directory.glob("shard-000-*.part"))[0]
    with path.open("rb") as file:
        blocks = Segment(file).blocks
    data = bytearray(path.read_bytes())
    data[blocks[2].at - 10] ^= 1
    path.write_bytes(data)
    return path, blocks


def test_what_stands_behind_a_damaged_block_is_kept(given: list[Given], tmp_path: Path) -> None:
    """In a file that has no index yet: the next recorder gives it one with all of its blocks."""
    path, blocks = damaged(given[:500], tmp_path)
    other = RecordingWriter(tmp_path, segment_s=10**6)
    other.add(given[:500])
    other.close()
    assert other.counts() == {"entries": 0, "repeated": 500, "missing": 0}
    with path.with_suffix(".ccrec").open("rb") as file:
        assert Segment(file).blocks == blocks
    found = verify(Directory(tmp_path)).findings
    assert {one.segment for one in found} == {path.with_suffix(".ccrec").name}
    assert "checksum" in {one.field for one in found} <= {"checksum", "key frame"}


def test_what_is_given_again_takes_the_place_of_a_damaged_block(given: list[Given], tmp_path: Path) -> None:
    """Power was lost before all was on the disk: what stands behind the block is given again, too."""
    damaged(given[:500], tmp_path)
    other = RecordingWriter(tmp_path, segment_s=10**6, waiting=given[0].id)
    other.add(given[:500])
    other.close()
    assert list(Counter(entries(tmp_path)).values()) == [1] * 500
    assert verify(Directory(tmp_path)).same


def test_a_disk_that_is_full_at_the_start_keeps_nobody_out(
    given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    writer.add(given[:100])
    writer.flush()
    writer.abandon()
    with monkeypatch.context() as patch:

        def full(*_: object) -> bool:
            raise OSError(28, "No space left on device")

        patch.setattr("recordings.writer.complete", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    other = RecordingWriter(tmp_path, segment_s=SEGMENT_S)
    other.add(given)
    other.close()
    assert list(Counter(entries(tmp_path)).values()) == [1] * len(given)


def test_a_torn_key_frame_is_taken_when_its_entry_is_given_again(given: list[Given], tmp_path: Path) -> None:
    framed = [at for at, one in enumerate(given) if one.shard == 0 and unpack(one.message)[2] is not None]
    writer = RecordingWriter(tmp_path, segment_s=10**6)
    writer.add(given[: framed[1] + 1])
    writer.flush()
    writer.abandon()
    [path] = tmp_path.glob("shard-000-*.part")
    with path.open("rb") as file:
        last = Segment(file).blocks[-1]
    assert last.frame is not None
    os.truncate(path, last.at + 10)
    other = RecordingWriter(tmp_path, segment_s=10**6, waiting=given[0].id)
    other.add(given)
    other.close()
    with max(tmp_path.glob("shard-000-*.ccrec")).open("rb") as file:
        assert Segment(file).blocks[0].frame is not None
    assert list(Counter(entries(tmp_path)).values()) == [1] * len(given)
    assert verify(Directory(tmp_path)).same
