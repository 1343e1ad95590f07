"""Joining and leaving."""

from __future__ import annotations

from dataclasses import replace

from tests.world.harness import HALL, QUIET, TinyCluster, is_empty
from world.ids import AgentId, ChunkId, NodeId, ServerCmdId, Tick
from world.inputs import Drop, Dropped, Join, Joined, Leave, Load, Refusal
from world.records import AgentRecord, RunningCommand
from world.rules import Rules

ANN = AgentId("ann")


def record(agent_id: str = "ann", **fields: object) -> AgentRecord:
    return replace(AgentRecord(AgentId(agent_id), HALL, 0, 0), **fields)  # type: ignore[arg-type]


def test_what_joining_tells(world: TinyCluster) -> None:
    """Its own state to the agent, its arrival to the chunk, its record to be kept."""
    assert world.shards[0].apply(Join(record(gold=7, name="Ann"), HALL, (20, 25))) == Joined(20, 25)
    output = world.shards[0].take()
    assert output.members == [(HALL, ANN, True)]
    assert output.agents[ANN] == record(gold=7, name="Ann", x=20, y=25)
    assert [event.payload for event in output.private] == [
        {"agent_id": "ann", "tick": 0, "inventory": {"gold": 7}, "activity_state": "idle"}
    ]
    assert [fact["fact"] for fact in output.archive] == ["join"]
    world.shards[0].step(1)
    (delta,) = world.shards[0].take().deltas
    assert delta.payload["events"] == [{"type": "agent_joined", "agent_id": "ann"}]


def test_joining_twice_is_joining_once(world: TinyCluster) -> None:
    world.join("ann", 20, 25)
    world.move("ann", 25, 25)
    world.run(2)
    assert world.shards[0].apply(Join(record(), HALL, (40, 40))) == Joined(22, 25)
    assert is_empty(world.shards[0].take())
    assert world.shards[0].population == 1


def test_the_nearest_free_cell(world: TinyCluster) -> None:
    """The very cell if it is free, else the next one; never a wall, a boundary cell or somebody else's."""
    assert world.join("a", 20, 25) == Joined(20, 25)
    assert world.join("b", 20, 25) == Joined(20, 24)
    assert world.join("c", 0, 24) == Joined(1, 24)
    assert world.join("d", 0, 0) != Joined(0, 0)
    world.run()


def test_odd_places_are_no_reason_to_fail(world: TinyCluster) -> None:
    """Coordinates off the grid count as none."""
    assert world.shards[0].apply(Join(record(), HALL, (-5, 10**9))) == Joined(25, 25)


def test_a_full_chunk_refuses(world: TinyCluster) -> None:
    """64 agents: a clear refusal, also for one with a wish; room again when one leaves."""
    for number in range(QUIET.spawn_chunk_capacity):
        world.join(f"agent-{number}")
    assert world.shards[0].apply(Join(record(), HALL)) == Refusal("chunk_full")
    assert world.shards[0].apply(Join(record(), HALL, (3, 24))) == Refusal("chunk_full")
    assert is_empty(world.shards[0].take())
    world.leave("agent-9")
    assert isinstance(world.shards[0].apply(Join(record(), HALL)), Joined)


def test_every_cell_taken() -> None:
    """No capacity limit helps where there is no floor left: refused, not hung."""
    world = TinyCluster(rules=Rules(demo=False, spawn_chunk_capacity=10_000))
    inner = sum(row[1:-1].count(".") for row in world.shards[0].chunk_static(HALL)["tiles"][1:-1])
    for number in range(inner):
        world.join(f"agent-{number}")
    assert world.shards[0].apply(Join(record(), HALL)) == Refusal("chunk_full")
    world.check()


def test_a_crowd_can_walk_off(world: TinyCluster) -> None:
    """64 who join at the centre stand with gaps: everyone of them can move."""
    for number in range(64):
        world.join(f"agent-{number}")
    for number in range(64):
        x, y = world.place(f"agent-{number}")[1:]
        steps = [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
        assert any(world.move(f"agent-{number}", *step).accepted for step in steps)


def test_unknown_places(world: TinyCluster) -> None:
    assert world.shards[0].apply(Join(record(), ChunkId("chunk-5"))) == Refusal("chunk_not_here")
    assert world.shards[0].apply(Leave(ANN)) == Refusal("agent_not_here")


def test_leaving_while_walking(world: TinyCluster) -> None:
    """The result first, then gone; the record has its place, its gold and no command."""
    world.join("ann", 20, 25, gold=4)
    world.move("ann", 25, 25)
    world.run(2)
    left = world.leave("ann")
    assert (left.x, left.y, left.gold, left.running, left.at) == (22, 25, 4, None, 2)
    assert world.records[ANN] == left
    assert world.ending("ann") == ("failed", "disconnected")
    world.run()
    assert world.events()[-1] == {"type": "agent_left", "agent_id": "ann"}
    assert world.join("ann", left.x, left.y) == Joined(22, 25)
    assert world.gold("ann") == 4


def test_a_freed_cell_is_free_at_once(world: TinyCluster) -> None:
    world.join("ann", 20, 25)
    world.leave("ann")
    assert world.join("bob", 20, 25) == Joined(20, 25)


def test_a_command_left_behind_gets_its_result(world: TinyCluster) -> None:
    """A record that still shows a running command (its shard died) ends it once, and the agent is idle."""
    command = RunningCommand(
        "move_to", ServerCmdId("old"), "c-old", "t", Tick(3), 5, {"target": [1, 25], "origin": [0, 0]}
    )
    world.accepted.add(ServerCmdId("old"))
    world.shards[0].apply(Join(record(running=command, recent=(ServerCmdId("old"),)), HALL, (20, 25)))
    world.pump()
    assert world.results("ann") == [
        {
            "server_cmd_id": "old",
            "client_cmd_id": "c-old",
            "status": "failed",
            "reason": "disconnected",
            "ended_tick": 0,
        }
    ]
    world.run()
    assert world.submit("ann", {"type": "move_to", "x": 21, "y": 25}, "old").duplicate
    assert world.move("ann", 21, 25).accepted


def test_a_harvest_left_behind_says_what_it_took(world: TinyCluster) -> None:
    node = NodeId("chunk-0-node-1")
    command = RunningCommand("harvest", ServerCmdId("old"), "c", "t", Tick(3), 5, {"node_id": node, "harvested": 3})
    world.accepted.add(ServerCmdId("old"))
    world.shards[0].apply(Join(record(running=command, recent=(ServerCmdId("old"),)), HALL, (20, 25)))
    world.pump()
    (result,) = world.results("ann")
    assert (result["reason"], result["node_id"], result["amount"]) == ("disconnected", node, 3)


def test_a_join_is_shown_at_once(world: TinyCluster) -> None:
    """The commit that seats an agent has a delta with it, of the present tick, unless that tick had one."""
    world.run(2)
    world.deltas.clear()
    world.join("ann", 20, 25)
    (delta,) = world.deltas
    assert (delta.tick, [agent["id"] for agent in delta.payload["agents"]]) == (2, ["ann"])
    assert delta.payload["events"] == [{"type": "agent_joined", "agent_id": "ann"}]
    world.join("bob", 30, 25)
    assert len(world.deltas) == 1
    world.run(3)
    assert [delta.tick for delta in world.deltas] == [2, 3]
    assert world.events() == [{"type": "agent_joined", "agent_id": name} for name in ("ann", "bob")]


def test_joins_of_one_commit_share_a_delta(world: TinyCluster) -> None:
    world.run(2)
    for name in ("ann", "bob"):
        world.shards[0].apply(Join(record(name), HALL))
    output = world.shards[0].take()
    (delta,) = output.deltas
    assert [agent["id"] for agent in delta.payload["agents"]] == ["ann", "bob"]
    assert output.chunks[HALL].events == ()


def test_ticks_of_a_chunk_rise_whoever_joins_and_walks(world: TinyCluster) -> None:
    for number in range(30):
        if number % 3 != 2:
            world.join(f"agent-{number}")
        if number % 2:
            world.run()
        if number % 5 == 0:
            world.move(f"agent-{number - number % 3}", 20 + number % 7, 25)
    ticks = [delta.tick for delta in world.deltas]
    assert ticks == sorted(set(ticks))
    joined = [event["agent_id"] for event in world.events(kind="agent_joined")]
    assert sorted(joined) == sorted(set(joined))
    assert len(joined) == 20


def test_a_join_while_the_chunk_is_given_away_is_shown_by_its_next_shard() -> None:
    """The chunk's tick has had no delta there, but may have had one here."""
    world = TinyCluster(shards=2)
    world.run(2)
    world.shards[0].apply(Join(record(), HALL))
    dropped = world.shards[0].apply(Drop(HALL))
    assert isinstance(dropped, Dropped)
    assert world.shards[0].take().deltas == []
    world.shards[1].apply(Load(dropped.record, dropped.agents))
    world.shards[1].apply(Join(record("bob"), HALL))
    assert world.shards[1].take().deltas == []
    world.shards[1].step(3)
    (delta,) = world.shards[1].take().deltas
    assert [event["agent_id"] for event in delta.payload["events"]] == ["ann", "bob"]
