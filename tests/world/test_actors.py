"""Agents and creatures as they are shown and kept."""

from __future__ import annotations

from dataclasses import replace

from tests.world.harness import HALL
from world.actors import Actor, Npc
from world.grid import index_of
from world.ids import AgentId, ChunkId, ServerCmdId, Tick
from world.inputs import Decision, Occupant
from world.records import AgentRecord, NpcRecord

RECORD = AgentRecord(AgentId("a"), HALL, 20, 25, "Ann", 5, "demo", None, (ServerCmdId("r"),), Tick(3))


def ann() -> Actor:
    return Actor(RECORD, HALL, index_of(20, 25))


def test_kept_as_it_came() -> None:
    assert ann().to_record(Tick(3)) == RECORD
    assert ann().decided == {"r": Decision(accepted=False)}


def test_kept_for_another_place() -> None:
    moved = ann().to_record(Tick(9), ChunkId("chunk-4"), index_of(0, 24))
    assert moved == replace(RECORD, chunk_id=ChunkId("chunk-4"), x=0, y=24, at=Tick(9))


def test_views_are_replaced() -> None:
    actor = ann()
    first = actor.view
    actor.state = "moving"
    actor.show()
    assert first == {"id": "a", "x": 20, "y": 25, "activity_state": "idle", "name": "Ann"}
    assert actor.view["activity_state"] == "moving"
    assert actor.occupant() == Occupant("a", 20, 25)


def test_creatures() -> None:
    npc = Npc(NpcRecord("npc", 4, 5, "slime"))
    npc.place(index_of(4, 6))
    assert npc.view == npc.to_record().to_json() == {"id": "npc", "x": 4, "y": 6, "kind": "slime"}
    assert npc.occupant() == Occupant("npc", 4, 6)
