"""A world made of a key frame goes on as the one it was taken of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.world.play import recorded_play
from world.key_frame import BadKeyFrame, difference, freeze_chunk, freeze_shard, rest_mark, thaw
from world.outputs import Output
from world.recording import decode_input, output_bytes
from world.rules import Rules
from world.shard import ShardWorld


def frame_of(world: ShardWorld) -> tuple[dict[str, Any], dict[str, Any]]:
    """A frame as it comes back from JSON."""
    chunks = {one: freeze_chunk(world, one) for one in world.chunk_ids}
    shard, frozen = json.loads(json.dumps([freeze_shard(world), chunks]))
    return shard, frozen


def shown(output: Output) -> bytes:
    """An output without what it asks of the cluster."""
    output.requests = []
    return output_bytes(output)


def run(line: dict[str, Any], world: ShardWorld) -> bytes | None:
    """Carry out one line of a recording; what was taken, if it was a take."""
    if line["rec"] == "input":
        world.apply(decode_input(line))
    elif line["rec"] == "step":
        world.step(line["tick"])
    elif line["rec"] == "take":
        return shown(world.take())
    return None


@pytest.mark.parametrize("on_use", [False, True])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shards", [1, 2])
def test_a_thawed_world_goes_on_alike(seed: int, shards: int, on_use: bool) -> None:
    """Put in the place of the other at every 23rd output, it gives the same outputs to the end, and the same frames."""
    for lines, _ in recorded_play(seed=seed, shards=shards, ticks=110):
        header = json.loads(lines[0])
        rules, number = Rules.from_json(header["rules"]), header["shard"]
        world = other = ShardWorld(rules, header["world_seed"], number)
        takes = 0
        for text in lines[1:]:
            line = json.loads(text)
            taken = run(line, world)
            if other is not world:
                assert run(line, other) == taken, (takes, text)
            if taken is None:
                continue
            takes += 1
            if takes % 23 == 0:
                shard, chunks = frame_of(world)
                if other is not world:
                    assert difference([shard, chunks], list(frame_of(other))) is None
                other = thaw(rules, header["world_seed"], number, shard, chunks, on_use=on_use)
                if not on_use:  # a look at all chunks would make them
                    assert difference([shard, chunks], list(frame_of(other))) is None
        assert takes > 100


def test_an_empty_chunk_at_rest_has_the_same_frame() -> None:
    """Where the mark is the same, so is the frame, but for the tick."""
    for lines, _ in recorded_play(seed=2, shards=1, ticks=140):
        header = json.loads(lines[0])
        world = ShardWorld(Rules.from_json(header["rules"]), header["world_seed"], 0)
        kept: dict[str, tuple[object, Any]] = {}
        same = 0
        for text in lines[1:]:
            if run(json.loads(text), world) is None:
                continue
            for chunk_id in world.chunk_ids:
                mark, frozen = rest_mark(world, chunk_id), freeze_chunk(world, chunk_id)
                del frozen["record"]["tick"]
                if mark is not None and kept.get(chunk_id, (None,))[0] == mark:
                    assert frozen == kept[chunk_id][1]
                    same += 1
                kept[chunk_id] = mark, frozen
        assert same > 100


@pytest.mark.parametrize("damage", ["{}", '{"tick": 1}', '{"chunks": ["chunk-9"]}'])
def test_what_is_no_frame_is_refused(damage: str) -> None:
    world = ShardWorld(Rules(), 1, 0)
    frame = {**freeze_shard(world), **json.loads(damage)} if "chunks" in damage else json.loads(damage)
    with pytest.raises(BadKeyFrame):
        thaw(Rules(), 1, 0, frame, {})


def test_a_difference_is_named() -> None:
    assert difference({"a": [{"b": 1}]}, {"a": [{"b": 2}]}) == ("a[0].b", 1, 2)
    assert difference({"a": [1]}, {"a": [1, 2]}) == ("a", [1], [1, 2])
    assert difference({"a": 1}, {"a": 1}) is None
