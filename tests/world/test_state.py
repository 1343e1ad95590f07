"""The books of changes: what is reported once, and what is forgotten."""

from __future__ import annotations

from tests.world.harness import HALL, TinyCluster
from world.ids import AgentId, ServerCmdId
from world.inputs import Join, Leave, Submit
from world.records import AgentRecord

ANN = AgentId("ann")


def test_a_record_is_of_the_moment_it_is_taken(world: TinyCluster) -> None:
    """Several changes between two takes make one record, the last."""
    shard = world.shards[0]
    shard.apply(Join(AgentRecord(ANN, HALL, 0, 0), HALL, (20, 25)))
    shard.apply(Submit(ANN, ServerCmdId("s"), "c", {"type": "move_to", "x": 22, "y": 25}))
    shard.step(1)
    record = shard.take().agents[ANN]
    assert (record.x, record.at) == (21, 1)
    assert record.running is not None


def test_steps_of_a_walk_are_in_deltas_only(world: TinyCluster) -> None:
    """Records are written at acceptance and end, not for every step."""
    world.join("ann", 20, 25)
    world.move("ann", 24, 25)
    shard = world.shards[0]
    written = []
    for tick in range(1, 5):
        shard.step(tick)
        written.append(bool(shard.take().agents))
    assert written == [False, False, False, True]


def test_left_and_back_within_one_take(world: TinyCluster) -> None:
    """The later state wins; both changes of members are told, in order."""
    shard = world.shards[0]
    shard.apply(Join(AgentRecord(ANN, HALL, 0, 0, gold=2), HALL, (20, 25)))
    record = shard.apply(Leave(ANN))
    assert isinstance(record, AgentRecord)
    shard.apply(Join(record, HALL, (30, 25)))
    output = shard.take()
    assert (output.agents[ANN].x, output.agents[ANN].gold) == (30, 2)
    assert output.members == [(HALL, ANN, True), (HALL, ANN, False), (HALL, ANN, True)]


def test_one_who_departed_is_not_written_by_the_old_shard() -> None:
    """Its record is the departure's alone."""
    world = TinyCluster(shards=2)
    world.join("ann", 48, 24)
    world.move("ann", 49, 24)
    shard = world.home[HALL]
    shard.step(1)
    output = shard.take()
    assert [departure.record.agent_id for departure in output.departures] == [ANN]
    assert ANN not in output.agents


def test_idle_time_is_in_the_record(world: TinyCluster) -> None:
    """First one in and last one out change what has to be kept of a chunk."""
    shard = world.shards[0]
    world.run(5)
    shard.apply(Join(AgentRecord(ANN, HALL, 0, 0), HALL))
    assert shard.take().chunks[HALL].idle_since is None
    shard.apply(Leave(ANN))
    assert shard.take().chunks[HALL].idle_since == 5
