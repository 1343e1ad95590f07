"""Messages between gateways and shards: what comes out is what went in, in few bytes, whatever an agent has sent."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.messages import (
    CELL_ANSWERS,
    CELL_RELEASES,
    CELL_REQUESTS,
    COMMANDS,
    DECISIONS,
    HEALTH,
    JOIN_ANSWERS,
    JOIN_REQUESTS,
    SHARD_LOAD,
    CellAnswer,
    CellRelease,
    CellRequest,
    ChunkLoad,
    ForeignVersion,
    JoinAnswer,
    JoinRequest,
    Packer,
    ShardCommand,
    ShardDecision,
    ShardHealth,
    ShardLoad,
    pack_cmd,
)
from world.ids import AgentId, ChunkId, HandoffId, ServerCmdId
from world.inputs import Occupant

MOVE = {"type": "move_to", "x": 30, "y": 24}
#: Of the strings of ``command`` and of MOVE, without anything around them.
STRINGS_BYTES = 4 * 32 + len("typemove_toxy")


LOAD = ChunkLoad(ChunkId("chunk-7"), 64, 1_500, 22_000, 12.5, {ChunkId("chunk-8"): 0.5})


def command(cmd: object) -> ShardCommand:
    return ShardCommand(AgentId("a" * 32), ServerCmdId("s" * 32), "c" * 32, pack_cmd(cmd), "t" * 32, 1_764_487_729_123)


@pytest.mark.parametrize(
    ("packer", "value"),
    [
        (COMMANDS, [command(MOVE), command({"type": "say", "text": "höre\u0000"})]),
        (COMMANDS, []),
        (
            DECISIONS,
            [ShardDecision(True, started_tick=7), ShardDecision(False, "busy", 9), ShardDecision(False, moved=True)],
        ),
        (JOIN_REQUESTS, [JoinRequest(AgentId("a"), ChunkId("chunk-0"))]),
        (JOIN_ANSWERS, [JoinAnswer("seated", ChunkId("chunk-0")), JoinAnswer("gone")]),
        (CELL_REQUESTS, [CellRequest(HandoffId("ho-1"), AgentId("a"), ChunkId("chunk-1"), 0, 24)]),
        (CELL_ANSWERS, [CellAnswer("reserved"), CellAnswer("blocked", Occupant("b", 0, 24)), CellAnswer("gone")]),
        (CELL_RELEASES, [CellRelease(HandoffId("ho-1"), ChunkId("chunk-1"))]),
        (HEALTH, ShardHealth(stalled=True, last_tick_age_s=None)),
        (HEALTH, ShardHealth(stalled=False, last_tick_age_s=0.25)),
        (SHARD_LOAD, ShardLoad(1, 60.5, 0.25, 12.5, 1.5, 0, 2, 70, [LOAD], 3)),
    ],
)
def test_a_message_comes_out_as_it_went_in(packer: Packer[Any], value: object) -> None:
    assert packer.unpack(packer.pack(value)) == value


@pytest.mark.parametrize("cmd", [MOVE, None, True, 1.5, "text", [], {"type": {"deep": [1, None, -(2**63)]}}])
def test_a_command_is_any_json_data(cmd: object) -> None:
    [came] = COMMANDS.unpack(COMMANDS.pack([command(cmd)]))
    assert came.cmd == cmd
    assert type(came.cmd) is type(cmd)


def nested(levels: int) -> object:
    cmd: object = []
    for _ in range(levels):
        cmd = [cmd]
    return cmd


@pytest.mark.parametrize("cmd", [{"x": 2**64}, {"text": "\ud800"}, nested(3000)], ids=["huge", "surrogate", "deep"])
def test_what_cannot_be_packed_goes_as_no_command_and_holds_nobody_up(cmd: object) -> None:
    odd, other = COMMANDS.unpack(COMMANDS.pack([command(cmd), command(MOVE)]))
    assert odd.cmd is None
    assert other.cmd == MOVE


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_batch_has_few_bytes_beside_its_strings(count: int) -> None:
    assert len(COMMANDS.pack([command(MOVE)] * count)) <= 4 + count * (STRINGS_BYTES + 30)
    assert len(DECISIONS.pack([ShardDecision(True, started_tick=1_000_000)] * count)) <= 4 + count * 10


def test_messages_of_another_release_are_refused_with_what_to_do() -> None:
    packed = COMMANDS.pack([command(MOVE)])
    with pytest.raises(ForeignVersion, match="one release"):
        COMMANDS.unpack(bytes((packed[0] + 1,)) + packed[1:])
