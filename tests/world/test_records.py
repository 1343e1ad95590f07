"""What is kept, through JSON and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.world.harness import HALL
from world.ids import AgentId, ChunkId, NodeId, ServerCmdId, Tick
from world.records import RECORD_VERSION, AgentRecord, ChunkRecord, NewerRecord, NodeRecord, NpcRecord, RunningCommand

WAY = {"target": [3, 4], "origin": [1, 4], "path": "EE"}
RUNNING = [
    RunningCommand(
        "move_to", ServerCmdId("s"), "c", "t", Tick(4), 2, {"target": [3, 4], "origin": [1, 4], "path": "EE"}
    ),
    RunningCommand("harvest", ServerCmdId("s"), "c", "t", Tick(4), 2, {"node_id": "n", "due_tick": 9, "harvested": 3}),
    RunningCommand("say", ServerCmdId("s"), "c", "t", Tick(4), 2, {"text": "h\u00e9"}),
]


@pytest.mark.parametrize("running", [None, *RUNNING], ids=["idle", "move_to", "harvest", "say"])
def test_agents(running: RunningCommand | None) -> None:
    record = AgentRecord(
        AgentId("a"), HALL, 3, 4, "Ann", 7, "demo", running, (ServerCmdId("r"), ServerCmdId("s")), Tick(12)
    )
    assert AgentRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@given(st.integers(0, 49), st.integers(0, 49), st.text(max_size=5), st.integers(0, 10**9))
def test_any_agent(x: int, y: int, name: str, gold: int) -> None:
    record = AgentRecord(AgentId("a"), HALL, x, y, name, gold)
    assert AgentRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_chunks() -> None:
    record = ChunkRecord(
        ChunkId("chunk-4"),
        4,
        "W",
        False,
        {"N": None, "E": ChunkId("chunk-9"), "S": None, "W": HALL},
        Tick(31),
        (
            NodeRecord(NodeId("n-0"), 3, "available", 5),
            NodeRecord(NodeId("n-1"), 0, "regenerating", 9, regen_at=Tick(90)),
        ),
        (NpcRecord("npc", 5, 6, "slime"),),
        Tick(30),
        ({"type": "agent_left", "agent_id": "a"},),
    )
    assert ChunkRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_the_least_chunk() -> None:
    record = ChunkRecord(HALL, 0, None)
    assert record.neighbors == {"N": None, "E": None, "S": None, "W": None}
    assert ChunkRecord.from_json(record.to_json()) == record


def test_a_record_has_a_version_and_one_of_a_newer_release_is_not_read() -> None:
    records: list[AgentRecord | ChunkRecord] = [AgentRecord(AgentId("a"), HALL, 3, 4), ChunkRecord(HALL, 0, None)]
    for record in records:
        written = record.to_json()
        assert "v" not in written, "the first release would not know what to do with it"
        assert type(record).from_json(written | {"v": RECORD_VERSION}) == record
        with pytest.raises(NewerRecord, match=f"a record of version {RECORD_VERSION + 1}"):
            type(record).from_json(written | {"v": RECORD_VERSION + 1, "more": 1})
