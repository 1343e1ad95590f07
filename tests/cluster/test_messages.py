"""Messages between gateways and shards: what comes out is what went in, in few bytes, whatever an agent has sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cluster import messages
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
    VERSION,
    Before,
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


def test_messages_of_a_distant_release_are_refused_with_what_to_do() -> None:
    packed = COMMANDS.pack([command(MOVE)])
    with pytest.raises(
        ForeignVersion, match=f"version {VERSION + 1}, not {VERSION}: upgrade one release after the other"
    ):
        COMMANDS.unpack(bytes((packed[0] + 1,)) + packed[1:])


#: What processes of version 2 have sent, and what it says; read for as long as ``OLDEST`` is not above 2.
VERSION_2: list[tuple[Packer[Any], str, object]] = [
    (
        COMMANDS,
        "029198a773636f75742d31a5636d645f31a2633183a474797065a76d6f76655f746fa1781ea17918a774726163652d31cf0000019ad3aa0f"
        "e3c4027b7dcf0000019ad3a9fc5b",
        [
            ShardCommand(
                *(AgentId("scout-1"), ServerCmdId("cmd_1"), "c1", pack_cmd(MOVE), "trace-1"),
                *(1_764_487_729_123, b"{}", 1_764_487_724_123),
            )
        ],
    ),
    (
        DECISIONS,
        "029395c3c0c007c295c2a46275737909c0c295c2c0c0c0c3",
        [ShardDecision(True, started_tick=7), ShardDecision(False, "busy", 9), ShardDecision(False, moved=True)],
    ),
    (JOIN_REQUESTS, "029192a773636f75742d31a76368756e6b2d30", [JoinRequest(AgentId("scout-1"), ChunkId("chunk-0"))]),
    (
        JOIN_ANSWERS,
        "029292a6736561746564a76368756e6b2d3092a4676f6e65c0",
        [JoinAnswer("seated", ChunkId("chunk-0")), JoinAnswer("gone")],
    ),
    (
        CELL_REQUESTS,
        "029195a4686f2d31a773636f75742d31a76368756e6b2d310018",
        [CellRequest(HandoffId("ho-1"), AgentId("scout-1"), ChunkId("chunk-1"), 0, 24)],
    ),
    (
        CELL_ANSWERS,
        "029392a87265736572766564c092a7626c6f636b656483a26964a162a17800a1791892a4676f6e65c0",
        [CellAnswer("reserved"), CellAnswer("blocked", Occupant("b", 0, 24)), CellAnswer("gone")],
    ),
    (CELL_RELEASES, "029192a4686f2d31a76368756e6b2d31", [CellRelease(HandoffId("ho-1"), ChunkId("chunk-1"))]),
    (HEALTH, "0292c2cb3fd0000000000000", ShardHealth(stalled=False, last_tick_age_s=0.25)),
]


@pytest.mark.parametrize(("packer", "recorded", "value"), VERSION_2)
def test_what_version_2_has_sent_is_read(packer: Packer[Any], recorded: str, value: object) -> None:
    assert packer.unpack(bytes.fromhex(recorded)) == value


def test_a_field_at_the_end_is_passed_over_by_those_who_do_not_know_it_and_has_a_default_for_those_who_do() -> None:
    class Longer(JoinRequest, frozen=True, array_like=True, gc=False):
        urgent: bool = False

    short, long = JoinRequest(AgentId("a"), ChunkId("chunk-0")), Longer(AgentId("a"), ChunkId("chunk-0"), True)
    packer = Packer(list[Longer])
    assert JOIN_REQUESTS.unpack(packer.pack([long])) == [short]
    assert packer.unpack(JOIN_REQUESTS.pack([short])) == [Longer(AgentId("a"), ChunkId("chunk-0"))]


def test_a_message_that_has_changed_is_read_and_written_as_the_release_before_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Now(msgspec.Struct, frozen=True, array_like=True):
        reason: str
        accepted: bool

    older = Packer(list[ShardDecision])
    sent = older.pack([ShardDecision(False, "busy")])
    monkeypatch.setattr(messages, "VERSION", VERSION + 1)
    before = Before(
        list[ShardDecision],
        newer=lambda found: [Now(one.reason or "", one.accepted) for one in found],
        older=lambda value: [ShardDecision(one.accepted, one.reason) for one in value],
    )
    packer = Packer(list[Now], before)
    assert packer.unpack(sent) == [Now("busy", False)]
    assert packer.pack([Now("busy", False)], VERSION) == sent
    assert packer.unpack(packer.pack([Now("busy", False)])) == [Now("busy", False)]
    with pytest.raises(ForeignVersion, match=f"version {VERSION - 1}, not {VERSION} or {VERSION + 1}"):
        packer.unpack(bytes((VERSION - 1,)) + sent[1:])
