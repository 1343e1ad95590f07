"""Recording a shard and running it again."""

from __future__ import annotations

import json

import pytest

from tests.world.play import play_randomly, recorded_play
from world.genesis import new_chunk
from world.ids import AgentId, HandoffId, ServerCmdId
from world.inputs import Denied, Input, Join, Load, Occupant, Submit
from world.recording import NotARecording, RecordedWorld, decode_input, encode_input, replay, verify
from world.rules import RULES_VERSION, Rules


def test_the_same_bytes_again() -> None:
    """Each output of each shard comes out as it was, and the digest is the recorded one."""
    for lines, digest in recorded_play(seed=3, shards=2, ticks=80):
        verdict = verify(lines)
        assert verdict.same
        assert verdict.complete
        assert verdict.takes > 80
        assert verdict.digest == digest == replay(lines)


def test_every_input_is_recorded() -> None:
    """The play of these tests tells the shards nearly everything there is to tell (for the rest see below)."""
    seen = set()
    for seed in range(4):
        for lines, _ in recorded_play(seed=seed, shards=2, ticks=150):
            seen |= {json.loads(line).get("input") for line in lines}
    assert {"Submit", "Join", "Leave", "Load", "Drop", "Linked", "Reserve", "Arrive", "Granted", "Close"} <= seen


def test_a_difference_is_found_where_it_is() -> None:
    """One changed input shows at the next take, not at the end."""
    lines, digest = recorded_play(seed=5, shards=1, ticks=40)[0]
    at = next(n for n, line in enumerate(lines) if '"type":"move_to"' in line)
    changed = [*lines[:at], lines[at].replace('"move_to"', '"say"'), *lines[at + 1 :]]
    verdict = verify(changed)
    assert not verdict.same
    assert verdict.digest != digest
    takes = [n for n, line in enumerate(lines, start=1) if n > at and '"rec":"take"' in line]
    assert verdict.differs_at_line == takes[0]


def test_another_state_in_the_end_is_found() -> None:
    """Also of what no output tells; a recording of a version that did not note it is the same without."""
    lines, _ = recorded_play(seed=5, shards=1, ticks=40)[0]
    end = json.loads(lines[-1])
    assert end["state"] == verify(lines).state
    assert verify([*lines[:-1], json.dumps({"rec": "end", "digest": end["digest"]})]).same
    assert verify([*lines[:-1], json.dumps({**end, "state": "0"})]).differs_at_line == len(lines)


def test_a_sink_that_is_full_ends_the_recording() -> None:
    """Before what its last line says is done: no state is noted that a replay would not come to."""
    lines: list[str] = []
    world: RecordedWorld | None = None

    def sink(line: str) -> None:
        lines.append(line)
        if len(lines) == 4 and world is not None:
            world.close()

    world = RecordedWorld(Rules(), 1, 0, sink)
    world.apply(Load(new_chunk(1, 0, None, Rules()), []))
    world.take()
    world.step(1)
    assert "state" not in json.loads(lines[-1])
    verdict = verify(lines)
    assert verdict.same
    assert verdict.complete


def test_a_recording_that_was_cut_off() -> None:
    """Killed in between: what there is replays, and it says that the end is missing."""
    lines, _ = recorded_play(seed=5, shards=1, ticks=40)[0]
    verdict = verify(lines[:-20])
    assert verdict.same
    assert not verdict.complete


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["{}"],
        ["nonsense"],
        ['{"rec":"step","tick":1}'],
        ['{"rec":"header","version":99}'],
        ['{"rec":"header","version":1,"rules":{"tick_hz":0},"world_seed":1,"shard":0}'],
        ['{"rec":"header","version":1,"rules":{},"world_seed":1,"shard":0}', '{"rec":"input","input":"Nope"}'],
        ['{"rec":"header","version":1,"rules":{},"world_seed":1,"shard":0}', '{"rec":"input","input":"Leave"}'],
        ['{"rec":"header","version":1,"rules":{},"world_seed":1,"shard":0}', '{"rec":"dance"}'],
    ],
)
def test_not_a_recording(lines: list[str]) -> None:
    with pytest.raises(NotARecording):
        verify(lines)


def test_another_version_of_the_rules_is_said_plainly() -> None:
    lines, _ = recorded_play(seed=5, shards=1, ticks=4)[0]
    header = json.loads(lines[0])
    assert header["rules_version"] == RULES_VERSION
    with pytest.raises(NotARecording, match="version 99 of the rules.*use the release that wrote it"):
        verify([json.dumps({**header, "rules_version": 99}), *lines[1:]])
    del header["rules_version"]
    assert verify([json.dumps(header), *lines[1:]]).same


@pytest.mark.parametrize(
    "cmd",
    [10**5_000, {"x": float("nan")}, {"text": "\ud800"}, {1: 2}, {"a": {1, 2}}, json.loads("[" * 90 + "]" * 90)],
    ids=["huge", "nan", "surrogate", "int-key", "set", "deep"],
)
def test_any_command_can_be_recorded(cmd: object) -> None:
    """Even what JSON can't carry: it is invalid then and when replayed."""
    lines: list[str] = []
    world = RecordedWorld(Rules(), 1, 0, lines.append)
    world.apply(Submit(AgentId("a"), ServerCmdId("s"), "c", cmd))
    world.take()
    world.close()
    assert verify(lines).same


def test_a_command_nested_without_end() -> None:
    deep: object = None
    for _ in range(100_000):
        deep = [deep]
    line = encode_input(Submit(AgentId("a"), ServerCmdId("s"), "c", deep))
    assert line["cmd"] is None


def test_inputs_through_json() -> None:
    """What the play does not reach: places, blockers."""
    inputs: list[Input] = [
        Denied(HandoffId("h"), AgentId("a"), Occupant("b", 1, 2)),
        Denied(HandoffId("h"), AgentId("a")),
    ]
    inputs += [order for order in play_randomly(seed=2, shards=2, ticks=60).orders if isinstance(order, (Join, Load))]
    assert len(inputs) > 10
    for order in inputs:
        assert decode_input(json.loads(json.dumps(encode_input(order)))) == order
