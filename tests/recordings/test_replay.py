"""Seeking: the world of any tick is the one that the run came by."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson
import pytest

from recordings.digests import chunk_digest
from recordings.entry import BadRecording, Header, read_entry, unpack
from recordings.lane import Given
from recordings.replay import apply_entry, begin, entries_of, read_frame, seek
from recordings.segment import Segment
from recordings.source import Pace, Source
from recordings.told_world import ToldWorld
from tests.recordings.simulate import PACE, played, write
from world.genesis import new_chunk
from world.ids import AgentId, ServerCmdId
from world.inputs import Join, Load, Submit
from world.records import AgentRecord
from world.rules import Rules

TICKS: Final = 150


@pytest.fixture(scope="module")
def given() -> list[Given]:
    return played(seed=6, shards=1, ticks=TICKS)


@pytest.fixture(scope="module")
def directory(given: list[Given], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("seek"), given, segment_s=12)


def test_every_tick_can_be_reached(directory: Path) -> None:
    """From the nearest key frame, in each segment, and it is the state of the whole run."""
    reached = 0
    world = None
    for path in sorted(directory.glob("*.ccrec")):
        with path.open("rb") as file:
            segment = Segment(file)
            world = world or begin(segment.head.header)
            for block in segment.blocks:
                for entry in entries_of(segment.data(block)):
                    apply_entry(world, entry)
                    if entry.n % 9 == 0:
                        reached += 1
                        found, n = seek(segment, entry.tick)
                        if n == entry.n:  # else later entries are of the same tick
                            assert found.chunk_ids == world.chunk_ids
                            for chunk in found.chunk_ids:
                                assert chunk_digest(found, chunk) == chunk_digest(world, chunk)
    assert reached > 50


def test_what_is_before_a_segment_is_not_in_it(directory: Path) -> None:
    with sorted(directory.glob("*.ccrec"))[1].open("rb") as file, pytest.raises(BadRecording, match="no key frame"):
        seek(Segment(file), 1)


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", b'{"shard": 1, "chunks": {}}', b'{"shard": {"tick": "x"}, "chunks": {}}']
)
def test_a_frame_that_is_none(damage: bytes) -> None:
    with pytest.raises(BadRecording):
        read_frame(damage)


def world_with(rules: Rules = Rules()) -> tuple[ToldWorld, Source]:  # noqa: B008 - frozen
    world = ToldWorld(rules, 1, 0)
    world.apply(Load(new_chunk(1, 0, None, rules), []))
    return world, Source(Header(0, 1, 1, rules.to_json()), PACE)


def test_a_world_at_rest_writes_nothing() -> None:
    """Ticks without consequences are two numbers in the next entry, however many they were."""
    world, source = world_with(Rules(demo=False))
    assert source.entry(world, world.take()) is not None
    assert source.entry(world, world.take()) is None
    for tick in range(1, 1_001):
        world.step(tick)
        world.take()
    assert world.told == [[1, 1_000]]
    world.step(1_002)
    assert world.told == [[1, 1_000], [1_002, 1_002]]
    assert world.step(1_002) is False
    assert len(world.told) == 2


def test_only_what_changed_has_a_digest_and_a_frame() -> None:
    world, _ = world_with(Rules(demo=False))
    source = Source(Header(0, 1, 1, world.rules.to_json()), Pace(digest_ticks=5, frame_ticks=5))
    world.apply(Load(new_chunk(1, 1, "E", world.rules), []))
    source.entry(world, world.take())
    world.apply(
        Join(AgentRecord(AgentId("a"), new_chunk(1, 0, None, world.rules).chunk_id, 25, 25), world.chunk_ids[0])
    )
    digests, frames = [], []
    for tick in range(1, 61):
        world.step(tick)
        if tick % 2 == 0:
            cmd = {"type": "move_to", "x": 20 + tick % 8, "y": 25}
            world.apply(Submit(AgentId("a"), ServerCmdId(f"s{tick}"), "c", cmd))
        message = source.entry(world, world.take())
        if message is None:
            continue
        _, body, frame = unpack(message.data)
        digests += [list(orjson.loads(body)["d"])] if "d" in orjson.loads(body) else []
        frames += [list(read_frame(frame)[1])] if frame else []
    assert len(digests) > 8
    assert all(one == ["chunk-0"] for one in digests[1:]), digests
    assert all("chunk-0" in one for one in frames)
    assert 1 <= sum("chunk-1" in one for one in frames[1:]) <= 2, "one of ten"


@pytest.mark.parametrize(
    "cmd",
    [10**5_000, {"x": float("nan")}, {"text": "\ud800"}, {1: 2}, {"a": {1, 2}}, {"type": "say", "text": "a\nb"}],
    ids=["huge", "nan", "surrogate", "int-key", "set", "line-break"],
)
def test_whatever_a_command_carries_is_the_same_when_run_again(cmd: object) -> None:
    world, source = world_with()
    world.apply(Join(AgentRecord(AgentId("a"), world.chunk_ids[0], 25, 25), world.chunk_ids[0]))
    world.apply(Submit(AgentId("a"), ServerCmdId("s"), "c", cmd))
    world.step(1)
    message = source.entry(world, world.take())
    assert message is not None
    chain, body, _ = unpack(message.data)
    assert b"\n" not in body
    entry = read_entry(chain, body)
    assert entry.header is not None
    other = begin(entry.header)
    apply_entry(other, entry)
    assert chunk_digest(other, other.chunk_ids[0]) == chunk_digest(world, world.chunk_ids[0])
