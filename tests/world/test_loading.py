"""A chunk changes its shard with everything under way in it: nothing ends, nothing is lost, nothing differs."""

from __future__ import annotations

from dataclasses import replace

from tests.world.harness import HALL, QUIET, TinyCluster, is_empty
from world.genesis import new_chunk
from world.ids import AgentId, ChunkId, NodeId, ServerCmdId, Tick
from world.inputs import Done, Drop, Dropped, Load, Refusal, Submit
from world.outputs import NeighborWanted, ReserveWanted
from world.records import AgentRecord, ChunkRecord, RunningCommand
from world.rules import Rules
from world.shard import ShardWorld

NEXT = ChunkId("chunk-1")


def hand_over(world: TinyCluster, chunk: ChunkId, to: int) -> Dropped:
    """Move a chunk to another shard, through JSON, as the cluster does."""
    dropped = world.home[chunk].apply(Drop(chunk))
    assert isinstance(dropped, Dropped)
    record = ChunkRecord.from_json(dropped.record.to_json())
    agents = [AgentRecord.from_json(agent.to_json()) for agent in dropped.agents]
    assert (record, agents) == (dropped.record, dropped.agents)
    world.home[chunk] = world.shards[to]
    assert world.shards[to].apply(Load(record, agents)) == Done()
    world.pump()
    return dropped


def busy_world() -> TinyCluster:
    """Agents that walk, dig, cross and speak, over two shards."""
    rules = Rules(demo=False, harvest_ticks_per_unit=4, regen_ticks=9, gold_per_node_min=2, gold_per_node_max=2)
    world = TinyCluster(shards=2, rules=rules)
    node = world.home[HALL].chunk_static(HALL)["resource_nodes"][0]
    world.join("walker", 14, 25)
    world.join("crosser", 40, 24)
    world.join("digger", node["x"] + 1, node["y"])
    world.join("speaker", 25, 30)
    world.move("walker", 36, 25)
    world.move("crosser", 49, 24)
    world.submit("digger", {"type": "harvest", "node_id": node["node_id"]})
    return world


def test_hand_overs_change_nothing() -> None:
    """The same play, with and without the hall changing shards every third tick: the same events at the same ticks."""
    logs = []
    for moving in (False, True):
        world = busy_world()
        for turn in range(30):
            world.run()
            if turn == 10:
                world.submit("speaker", {"type": "say", "text": "still here"})
            if moving and turn % 3 == 0:
                other = 1 if world.home[HALL] is world.shards[0] else 0
                hand_over(world, HALL, other)
        world.run_until_idle()
        results = {
            (e.agent_id, e.payload["status"], e.payload["ended_tick"]) for e in world.private if "result" in e.kind
        }
        places = [world.place(name) for name in ("walker", "crosser", "digger", "speaker")]
        shown = [
            (delta.tick, event) for delta in world.deltas if delta.chunk_id == HALL for event in delta.payload["events"]
        ]
        logs.append((results, places, shown))
        assert world.gold_balance()[0] == world.gold_balance()[1]
    assert logs[0] == logs[1]


def test_nothing_is_left_behind() -> None:
    world = busy_world()
    world.run(3)
    old = world.home[HALL]
    dropped = hand_over(world, HALL, 1)
    assert [agent.agent_id for agent in dropped.agents] == ["crosser", "digger", "speaker", "walker"]
    assert old.chunk_ids == []
    assert old.population == 0
    assert old.busy_agents == 0
    assert old.apply(Submit(AgentId("walker"), ServerCmdId("x"), "c", {})).moved
    assert old.step(100)
    assert is_empty(old.take())
    assert world.shards[1].population == 4


def test_loading_is_no_joining() -> None:
    """Nobody is told that anybody came or went; the first delta shows who is there."""
    world = busy_world()
    world.run(2)
    events = len(world.events())
    hand_over(world, HALL, 1)
    world.run()
    assert world.events()[events:] == []
    assert [agent["id"] for agent in world.deltas[-1].payload["agents"]] == ["crosser", "digger", "speaker", "walker"]
    assert HALL in world.statics


def test_events_between_input_and_step_are_not_lost() -> None:
    world = TinyCluster(shards=2)
    world.join("a", 20, 25)
    hand_over(world, HALL, 1)
    world.run()
    assert world.events(kind="agent_joined") == [{"type": "agent_joined", "agent_id": "a"}]


def test_load_and_drop_refuse_what_makes_no_sense(world: TinyCluster) -> None:
    assert world.shards[0].apply(Load(new_chunk(1, 0, None, QUIET), [])) == Refusal("already_here")
    assert world.shards[0].apply(Drop(NEXT)) == Refusal("chunk_not_here")


def test_a_chunk_from_a_shard_that_is_ahead() -> None:
    """Ticks only rise within a chunk: the loading shard lets the numbers pass that the chunk has seen."""
    shard = ShardWorld(QUIET, 1, 0)
    shard.step(10)
    shard.apply(Load(replace(new_chunk(1, 0, None, QUIET), tick=Tick(12)), []))
    assert shard.tick == 12
    assert [shard.step(tick) for tick in (11, 12, 13)] == [False, False, True]
    assert [delta.tick for delta in shard.take().deltas] == [13]


def test_the_order_of_acceptance_survives() -> None:
    """Two shards' chunks come together: their commands act in the order of their numbers, then of their ids."""
    shard = ShardWorld(QUIET, 1, 0)
    order = {"b": 5, "a": 5, "c": 2}
    for number, (name, accepted) in enumerate(order.items()):
        running = RunningCommand("say", ServerCmdId(f"s-{name}"), "c", "", Tick(1), accepted, {"text": "x"})
        record = new_chunk(1, number, None if number == 0 else "W", QUIET)
        shard.apply(Load(record, [AgentRecord(AgentId(name), record.chunk_id, 25, 25, running=running)]))
    shard.step(1)
    assert [e.agent_id for e in shard.take().private if e.kind == "command_result"] == ["c", "a", "b"]
    first = shard.agents(HALL)[0].agent_id
    shard.apply(Submit(first, ServerCmdId("next"), "c", {"type": "say", "text": "hi"}))
    running_now = shard.agents(HALL)[0].running
    assert running_now is not None
    assert running_now.order == 6


def load_one(agent: AgentRecord) -> ShardWorld:
    """A hall with one agent in it."""
    shard = ShardWorld(QUIET, 1, 0)
    shard.apply(Load(new_chunk(1, 0, None, QUIET), [agent]))
    return shard


def walking(x: int, y: int, **fields: object) -> AgentRecord:
    """An agent on its recorded way from (20, 25) to (24, 25)."""
    way = {"target": [24, 25], "origin": [20, 25], "path": "EEEE", **fields}
    running = RunningCommand("move_to", ServerCmdId("s"), "c", "t", Tick(1), 0, way)
    return AgentRecord(AgentId("a"), HALL, x, y, running=running)


def test_a_walk_goes_on_from_where_the_delta_shows_it() -> None:
    """The record is of the acceptance, the place of the last delta: the rest of the way is walked, not more."""
    shard = load_one(walking(22, 25))
    shard.step(1)
    shard.step(2)
    assert [e.payload["ended_tick"] for e in shard.take().private] == [2]
    assert (shard.agents(HALL)[0].x, shard.agents(HALL)[0].y) == (24, 25)


def test_a_walk_off_its_way_is_planned_anew() -> None:
    shard = load_one(walking(24, 27))
    for tick in (1, 2):
        shard.step(tick)
    assert shard.take().private[-1].payload["status"] == "completed"


def test_a_walk_that_has_no_way_ends_blocked() -> None:
    """Failed once, at once; rubbish in the path is no reason to raise."""
    for fields in (
        {"target": (1, 1), "path": "XX"},
        {"target": (99, 1)},
        {"target": None},
        {"path": "N" * 60, "target": (0, 1)},
    ):
        shard = load_one(walking(20, 25, **fields))
        (result,) = shard.take().private
        assert (result.payload["status"], result.payload["reason"]) == ("failed", "blocked")
        assert shard.busy_agents == 0


def test_a_harvest_whose_node_is_gone_ends_depleted() -> None:
    """The result says what was taken before, by the record."""
    node = NodeId("chunk-0-node-99")
    running = RunningCommand(
        "harvest", ServerCmdId("s"), "c", "t", Tick(1), 0, {"node_id": node, "due_tick": 3, "harvested": 2}
    )
    shard = load_one(AgentRecord(AgentId("a"), HALL, 20, 25, running=running))
    (result,) = [event.payload for event in shard.take().private]
    assert (result["status"], result["reason"]) == ("failed", "depleted")
    assert (result["node_id"], result["amount"]) == (node, 2)


def test_two_on_one_cell_are_put_apart() -> None:
    """Whatever the records say: no shared cell, nobody in a wall, nobody lost."""
    shard = ShardWorld(QUIET, 1, 0)
    agents = [
        AgentRecord(AgentId(f"a-{n}"), HALL, x, y) for n, (x, y) in enumerate([(20, 25), (20, 25), (0, 0), (-3, 70)])
    ]
    shard.apply(Load(new_chunk(1, 0, None, QUIET), agents))
    cells = {(agent.x, agent.y) for agent in shard.agents(HALL)}
    assert len(cells) == 4
    tiles = shard.chunk_static(HALL)["tiles"]
    assert all(tiles[y][x] == "." for x, y in cells)


WAY = {"target": [49, 24], "origin": [48, 24], "path": "E"}


def test_requests_are_made_again() -> None:
    """One who stood before the boundary asks anew, for the neighbour or for the cell."""

    def door(neighbor: ChunkId | None) -> ShardWorld:
        running = RunningCommand("move_to", ServerCmdId("s"), "c", "t", Tick(1), 0, WAY)
        shard = ShardWorld(QUIET, 1, 0)
        record = new_chunk(1, 0, None, QUIET, neighbors={"E": neighbor})
        shard.apply(Load(record, [AgentRecord(AgentId("a"), HALL, 48, 24, running=running)]))
        return shard

    assert door(None).take().requests == [NeighborWanted(HALL, "E")]
    (request,) = door(NEXT).take().requests
    assert isinstance(request, ReserveWanted)
    assert (request.to_chunk, request.x, request.y) == (NEXT, 0, 24)


def test_an_empty_chunk_keeps_its_idle_time() -> None:
    """Handing it over does not start it anew."""
    shard = ShardWorld(QUIET, 1, 0)
    record = replace(new_chunk(1, 1, "W", QUIET), idle_since=Tick(50), tick=Tick(200))
    shard.apply(Load(record, []))
    shard.take()
    shard.step(349)
    assert not shard.take().requests
    shard.step(350)
    assert len(shard.take().requests) == 1


def test_results_in_the_log_name_their_command() -> None:
    """Also of commands that ended because they could not go on where they were loaded."""
    world = busy_world()
    world.submit("speaker", {"type": "say", "text": "here"})
    world.run(2)
    hand_over(world, HALL, 1)
    world.run_until_idle()
    named = {(fact["agent_id"], fact["command"]) for fact in world.facts if fact["fact"] == "result"}
    assert {("walker", "move_to"), ("crosser", "move_to"), ("digger", "harvest"), ("speaker", "say")} <= named
    assert "" not in {kind for _, kind in named}
