"""Coming back after a crash from the last delta and the records."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.world.harness import HALL, QUIET
from world.genesis import demo_population, new_chunk
from world.ids import AgentId, ServerCmdId, Tick
from world.inputs import Join, Load, Submit
from world.outputs import Output
from world.records import AgentRecord, ChunkRecord
from world.recovery import recover
from world.rules import Rules
from world.shard import ShardWorld

RULES = Rules(harvest_ticks_per_unit=2, regen_ticks=12, gold_per_node_min=1, gold_per_node_max=3)


class Journal:
    """What Redis holds of one chunk: the last committed record, delta and agents."""

    def __init__(self) -> None:
        self.chunk = json.dumps(new_chunk(1, 0, None, RULES).to_json())
        self.delta: str | None = None
        self.agents: dict[str, str] = {}
        self.results: list[tuple[str, Any]] = []
        self.tick = Tick(0)

    def commit(self, output: Output) -> None:
        self.tick = output.tick
        for record in output.chunks.values():
            self.chunk = json.dumps(record.to_json())
        for delta in output.deltas:
            self.delta = json.dumps(delta.payload)
        for agent in output.agents.values():
            self.agents[agent.agent_id] = json.dumps(agent.to_json())
        self.results += [(event.agent_id, event.payload) for event in output.private if event.kind == "command_result"]

    def load(self) -> ShardWorld:
        """Begin anew with nothing but what was committed."""
        world = ShardWorld(RULES, 1, 0)
        agents = [AgentRecord.from_json(json.loads(agent)) for agent in self.agents.values()]
        delta = json.loads(self.delta) if self.delta else None
        record, agents = recover(ChunkRecord.from_json(json.loads(self.chunk)), delta, agents, self.tick)
        world.apply(Load(record, agents))
        return world


def play(world: ShardWorld, journal: Journal, ticks: int, choices: list[int]) -> ShardWorld:
    """Commands from a list of choices, one tick each, every tick committed."""
    nodes = world.chunk_static(HALL)["resource_nodes"]
    serial = len(journal.results) * 1_000
    for choice in choices[:ticks]:
        agent = AgentId(f"agent-{choice % 4}")
        node = nodes[choice % len(nodes)]
        cmd: dict[str, Any] = {"type": "move_to", "x": 14 + choice % 23, "y": 23 + choice % 4}
        if choice % 5 == 0:
            cmd = {"type": "move_to", "x": node["x"] + (choice % 3) - 1, "y": node["y"]}
        elif choice % 5 == 1:
            cmd = {"type": "harvest", "node_id": node["node_id"]}
        serial += 1
        world.apply(Submit(agent, ServerCmdId(f"cmd-{serial}-{choice}"), "c", cmd))
        journal.commit(world.take())
        world.step(world.tick + 1)
        journal.commit(world.take())
    return world


def picture(world: ShardWorld) -> Any:
    """The whole present state; acceptances are numbered anew after a crash, only their order counts."""
    agents = [
        replace(agent, running=replace(agent.running, order=0)) if agent.running else agent
        for agent in world.agents(HALL)
    ]
    return world.chunk_delta(HALL), agents


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=40, max_size=40), st.integers(0, 39))
def test_a_crash_between_ticks_changes_nothing(choices: list[int], crash: int) -> None:
    """Dead after any commit and back from it: the world goes on to the same state with the same results."""
    ends = []
    for dies in (False, True):
        journal = Journal()
        world = ShardWorld(RULES, 1, 0)
        world.apply(Load(ChunkRecord.from_json(json.loads(journal.chunk)), []))
        for number in range(4):
            record = AgentRecord(AgentId(f"agent-{number}"), HALL, 0, 0)
            world.apply(Join(record, HALL, (22 + 2 * number, 25)))
        journal.commit(world.take())
        play(world, journal, crash, choices)
        if dies:
            world = journal.load()
        play(world, journal, 40, choices[crash:])
        ends.append((picture(world), journal.results))
    assert ends[0] == ends[1]


def test_a_chunk_without_a_delta() -> None:
    record, agents = recover(new_chunk(1, 0, None, QUIET), None, demo_population(RULES), Tick(7))
    assert record.tick == 7
    assert agents == demo_population(RULES)


def test_who_joined_after_the_delta_stands_by_its_record() -> None:
    """Not shown, or shown in a place that it left before it joined again."""
    delta = {
        "tick": 5,
        "agents": [{"id": "old", "x": 9, "y": 24}, {"id": "back", "x": 9, "y": 25}],
        "npcs": [],
        "resources": [],
    }
    agents = [
        AgentRecord(AgentId("old"), HALL, 1, 24, at=Tick(3)),
        AgentRecord(AgentId("back"), HALL, 2, 24, at=Tick(6)),
        AgentRecord(AgentId("new"), HALL, 3, 24, at=Tick(5)),
    ]
    _, placed = recover(new_chunk(1, 0, None, QUIET), delta, agents, Tick(0))
    assert [(agent.x, agent.y) for agent in placed] == [(9, 24), (2, 24), (3, 24)]
