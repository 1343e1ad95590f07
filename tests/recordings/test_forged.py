"""Recordings that somebody else has made: whatever stands in them is named, and ends nothing."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from recordings.names import read_name
from recordings.past_page import PastPage
from recordings.past_worker import AWAY, PAGE, TICK, answer_to
from recordings.places import Directory
from recordings.track import Catalog
from recordings.verify import Proof, verify
from tests.recordings.forge import Change, forge, put, without
from tests.recordings.simulate import played, write


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("forged")
    write(directory, played(seed=6, shards=1, ticks=100), segment_s=6)
    assert len(list(directory.glob("*.ccrec"))) == 3
    return directory


@pytest.fixture
def forged(untouched: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of the recording in which the second of three segments is another."""

    def make(**changes: Any) -> Path:
        directory = shutil.copytree(untouched, tmp_path / "recordings")
        forge(sorted(directory.glob("*.ccrec"))[1], **changes)
        return directory

    return make


@pytest.fixture(scope="module")
def proof(untouched: Path) -> Proof:
    return verify(Directory(untouched))


#: What is changed, to what, the finding's field, and what it names.
FORGED: Final[dict[str, tuple[str, Change, str, str]]] = {
    "a life that follows a number": ("head", put("header", "previous", value=5), "segment", "previous"),
    "no header": ("head", put("header", value=None), "segment", "header"),
    "a list for the rules": ("head", put("header", "rules", value=[]), "segment", "rules"),
    "an epoch below 0": ("head", put("header", "epoch", value=-1), "segment", "epoch"),
    "a number that is a text": ("head", put("first", value="0"), "segment", "first"),
    "a number below 0": ("head", put("first", value=-1), "segment", "first"),
    "a truth that is a number": ("head", put("follows", value=1), "segment", "follows"),
    "a time after all calendars": ("head", put("began_ms", value=2**52), "segment", "began_ms"),
    "a head without its chain": ("head", without("chain"), "segment", "chain"),
    "a length that is a text": ("block", put("length", value="x"), "segment", "length"),
    "a length below 0": ("block", put("length", value=-1), "segment", "length"),
    "a length beyond all bounds": ("block", put("length", value=10**12), "segment", "length"),
    "a place below 0": ("block", put("at", value=-1), "segment", "at"),
    "a place beyond all bounds": ("block", put("at", value=2**63), "segment", "at"),
    "a size beyond all bounds": ("block", put("unpacked", value=2**40), "segment", "unpacked"),
    "ticks of nothing": ("block", put("ticks", value=None), "segment", "ticks"),
    "one entry's number": ("block", put("entries", value=[3]), "segment", "entries"),
    "entries by name": ("block", put("entries", value={"0": 1, "1": 2}), "segment", "entries"),
    "chunks that are numbers": ("block", put("frame", value=[1]), "segment", "frame"),
    "a block that is nothing": ("block", lambda told: None, "segment", "block's head"),
    "digests in a list": ("entry", put("d", value=[]), "entry", "d is not"),
    "a digest that is none": ("entry", put("d", value={"chunk-0": None}), "digest", "not a digest"),
    "an entry that is nothing": ("entry", lambda told: None, "entry", "no JSON object"),
    "an entry's number below 0": ("entry", put("n", value=-1), "entry", "n is out of bounds"),
    "an entry's tick that is none": ("entry", put("t", value=None), "entry", "t is not"),
    "what was done by name": ("entry", put("o", value={}), "entry", "o is not"),
    "a header of nothing": ("entry", put("h", value=None), "entry", "no header"),
    "a key frame without its chunks": ("frame", put("shard", value={"tick": 1}), "key frame", "chunks"),
    "a key frame of no chunks": ("frame", put("shard", "chunks", value=None), "key frame", "chunks"),
    "a key frame's tick below 0": ("frame", put("shard", "tick", value=-1), "key frame", "tick"),
    "a key frame that is nothing": ("frame", lambda told: None, "key frame", "no JSON object"),
    "chunks of a key frame in a list": ("frame", put("chunks", value=[]), "key frame", "chunks"),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_is_of_another_kind_is_named(name: str, forged: Callable[..., Path], proof: Proof) -> None:
    """And the segment after it is looked at: to the recording's end."""
    where, change, field, says = FORGED[name]
    found = verify(Directory(forged(**{where: change})))
    assert any(one.field == field and says in one.what for one in found.findings), [one.line for one in found.findings]
    assert len({one.segment for one in found.findings}) == 1
    assert (found.segments, found.ends) == (proof.segments, proof.ends)


@pytest.mark.parametrize("sized", [True, False])
def test_a_block_that_unpacks_to_more_than_it_says(sized: bool, forged: Callable[..., Path], proof: Proof) -> None:
    """Ten million bytes, of which the compressed data say how many they are, or don't."""
    packed = zstandard.ZstdCompressor(write_content_size=sized).compress(bytes(10**7))
    directory = forged(packed=lambda raw: packed)
    tracemalloc.start()
    found = verify(Directory(directory))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [one.field for one in found.findings] == ["checksum"]
    assert found.segments == proof.segments
    assert most < 5_000_000


def test_what_nobody_thought_of_is_named(untouched: Path, proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(data: bytes) -> None:
        raise KeyError("x" * 1_000)

    monkeypatch.setattr("recordings.verify.read_frame", raising)
    found = verify(Directory(untouched))
    assert {one.field for one in found.findings} == {"segment"}
    assert all("KeyError" in one.what and len(one.what) < 100 for one in found.findings)
    assert (len(found.findings), found.segments) == (proof.frames, proof.segments)


def test_a_place_that_is_away_is_no_finding(untouched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(data: bytes) -> None:
        raise OSError("away")

    monkeypatch.setattr("recordings.verify.read_frame", away)
    with pytest.raises(OSError, match="away"):
        verify(Directory(untouched))


# -- looking back --


def ask(directory: Path, chunk_id: str = "chunk-0", **more: Any) -> bytes:
    return answer_to({"directory": str(directory), "url": "", "chunk_id": chunk_id, **more}, {})


def test_an_input_that_the_rules_can_not_run_is_a_gap(forged: Callable[..., Path]) -> None:
    """Up to the next segment: there the past goes on."""
    directory = forged(entry=put("o", value=[["Leave", {"agent_id": {}}]]))
    _, second, third = read_starts(directory)
    pages: list[PastPage] = []
    first = second - 5
    while not (pages and (pages[-1].ended or pages[-1].last >= third + 10)):
        pages.append(PastPage.unpack(ask(directory, first=first, last=third + 10, limit=500)[1:]))
        first = pages[-1].last + 1
    gaps = [page.gap for page in pages if page.gap is not None]
    shown = {delta.tick for page in pages for delta in page.deltas}
    assert [(gap.first, gap.last, gap.reason) for gap in gaps] == [(second + 1, third, "missing")]
    assert {*range(second - 5, second + 1), *range(third + 1, third + 11)} == shown


def read_starts(directory: Path) -> list[int]:
    """The ticks with which its segments begin."""
    names = [name for path in sorted(directory.glob("*.ccrec")) if (name := read_name(path.name)) is not None]
    catalog = Catalog(Directory(directory))
    return [found.tick for name in names if (found := catalog.beginning(name)) is not None]


def test_a_chunk_that_can_not_be_made_is_no_end_of_the_process(
    forged: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It rests, so it is made where it is looked at, and not with the key frame."""
    directory = forged(frame=put("chunks", "chunk-2", "record", "npcs", value=[{}]))
    second = read_starts(directory)[1]
    assert ask(directory, "chunk-2", first=second + 1, last=second + 2, limit=9) == AWAY
    assert capsys.readouterr().err == "the past can't be read: TypeError\n"
    assert ask(directory, first=second + 1, last=second + 2, limit=9)[:1] == PAGE


@pytest.mark.parametrize("which", [1, 2])
def test_what_is_beside_a_file_that_can_not_be_read_is_shown(which: int, untouched: Path, tmp_path: Path) -> None:
    """In the middle, or at the end: a segment that has just begun is an empty file until it is written to."""
    directory = shutil.copytree(untouched, tmp_path / "recordings")
    starts = read_starts(directory)
    sorted(directory.glob("*.ccrec"))[which].write_bytes(b"")
    for first in (5, starts[1] - 5, *([starts[1] + 5] if which == 2 else [starts[2] + 5])):
        page = PastPage.unpack(ask(directory, first=first, last=first + 2, limit=9)[1:])
        assert [delta.tick for delta in page.deltas] == [first, first + 1, first + 2]
        assert page.gap is None
    lost = PastPage.unpack(ask(directory, first=starts[which] + 5, last=starts[which] + 9, limit=9)[1:])
    assert (lost.state, lost.deltas) == (None, [])
    assert (lost.gap is not None) == (which == 1)


def test_a_moment_in_a_segment_that_can_not_be_read(forged: Callable[..., Path]) -> None:
    """It is the last tick before it: from there on a page says where the gap is."""
    directory = forged(head=put("first", value="0"))
    second = sorted(directory.glob("*.ccrec"))[1]
    name = read_name(second.name)
    assert name is not None
    last = (name.began_ms - 1_000_000) // 200
    assert ask(directory, ms=name.began_ms + 2_000) == TICK + b"%d" % last
