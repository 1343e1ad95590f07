"""Cells kept for arrivals, and arrivals that find things otherwise than they were told."""

from __future__ import annotations

import pytest

from tests.world.harness import HALL, TinyCluster
from world.ids import AgentId, ChunkId, HandoffId
from world.inputs import Arrive, Done, Join, Joined, Occupant, Refusal, Release, Reserve, Reserved
from world.records import AgentRecord

A, B = AgentId("a"), AgentId("b")


def reserve(handoff: str, agent: AgentId, x: int = 0, y: int = 24, chunk: ChunkId = HALL) -> Reserve:
    return Reserve(HandoffId(handoff), agent, chunk, x, y)


def arrive(handoff: str, agent: AgentId, x: int = 0, y: int = 24, chunk: ChunkId = HALL) -> Arrive:
    return Arrive(HandoffId(handoff), AgentRecord(agent, chunk, x, y, gold=3), chunk, x, y)


def test_a_cell_is_kept_for_one(world: TinyCluster) -> None:
    """Asking again is fine, anybody else is told who has it; released it is free."""
    shard = world.shards[0]
    assert shard.apply(reserve("h", A)) == shard.apply(reserve("h", A)) == Reserved(ok=True)
    assert shard.apply(reserve("other", B)) == Reserved(ok=False, blocker=Occupant("a", 0, 24))
    assert shard.apply(Release(HandoffId("other"), HALL)) == Done()
    assert shard.apply(reserve("other", B)) == Reserved(ok=False, blocker=Occupant("a", 0, 24))
    assert shard.apply(Release(HandoffId("h"), HALL)) == Done()
    assert shard.apply(reserve("other", B)) == Reserved(ok=True)


@pytest.mark.parametrize(
    ("x", "y"), [(0, 22), (0, 0), (25, 25), (-1, 24), (50, 24)], ids=["wall", "corner", "inside", "off", "off-east"]
)
def test_cells_that_nobody_can_arrive_on(world: TinyCluster, x: int, y: int) -> None:
    assert world.shards[0].apply(reserve("h", A, x, y)) == Reserved(ok=False)


def test_an_occupied_cell(world: TinyCluster) -> None:
    shard = world.shards[0]
    shard.apply(reserve("h", A))
    shard.apply(arrive("h", A))
    assert shard.apply(reserve("other", B)) == Reserved(ok=False, blocker=Occupant("a", 0, 24))
    world.pump()


def test_arriving(world: TinyCluster) -> None:
    """Seated with what it owns; everyone sees it in the next delta; its cell is not reserved any more."""
    shard = world.shards[0]
    shard.apply(reserve("h", A))
    assert shard.apply(arrive("h", A)) == Joined(0, 24)
    output = shard.take()
    assert output.members == [(HALL, A, True)]
    assert output.agents[A].gold == 3
    world.where[A] = HALL
    world.run()
    assert world.events() == [{"type": "agent_joined", "agent_id": "a"}]
    world.move("a", 3, 24)
    world.run_until_idle()
    assert shard.apply(reserve("next", B)) == Reserved(ok=True)


def test_an_arrival_without_its_reservation(world: TinyCluster) -> None:
    """Forgotten in a restart: the cell if it is free, else the nearest, but never lost and never on somebody."""
    shard = world.shards[0]
    assert shard.apply(arrive("h", A)) == Joined(0, 24)
    assert shard.apply(arrive("h2", B)) == Joined(1, 24)
    world.pump()
    world.run()


def test_an_arrival_on_anothers_reserved_cell(world: TinyCluster) -> None:
    shard = world.shards[0]
    shard.apply(reserve("h", A))
    assert shard.apply(arrive("h2", B)) == Joined(1, 24)
    assert shard.apply(arrive("h", A)) == Joined(0, 24)
    world.pump()
    world.run()


def test_one_that_is_here_already(world: TinyCluster) -> None:
    """It joined meanwhile by another way: one copy, where it stands."""
    world.join("a", 20, 25)
    assert world.shards[0].apply(arrive("h", A)) == Joined(20, 25)
    assert world.shards[0].population == 1


def test_nobody_spawns_on_a_kept_cell(world: TinyCluster) -> None:
    shard = world.shards[0]
    shard.apply(reserve("h", A))
    assert shard.apply(Join(AgentRecord(B, HALL, 0, 0), HALL, (0, 24))) == Joined(1, 24)
    world.pump()


def test_a_chunk_that_is_elsewhere(world: TinyCluster) -> None:
    elsewhere = ChunkId("chunk-8")
    assert world.shards[0].apply(reserve("h", A, chunk=elsewhere)) == Refusal("chunk_not_here")
    assert world.shards[0].apply(arrive("h", A, chunk=elsewhere)) == Refusal("chunk_not_here")
    assert world.shards[0].apply(Release(HandoffId("h"), elsewhere)) == Done()


def test_a_reserved_doorway_still_lets_people_out(world: TinyCluster) -> None:
    """A reservation is room to stand on, and one who leaves does not stand there."""
    shard = world.shards[0]
    world.join("pioneer", 2, 24)
    world.move("pioneer", 0, 24)
    world.run_until_idle()
    world.move("pioneer", 45, 24)
    world.run_until_idle()
    world.join("a", 2, 24)
    shard.apply(reserve("h", B))
    assert world.move("a", 0, 24).accepted
    world.run_until_idle()
    assert world.place("a") == (ChunkId("chunk-1"), 49, 24)
