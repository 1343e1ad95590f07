"""Commands under way, as they are kept."""

from __future__ import annotations

import json

import pytest

from tests.world.harness import HALL, TinyCluster
from world.commands import RULES, UnknownCommand, rule_named, rule_of
from world.commands.give import Giving
from world.commands.harvest import Harvesting
from world.commands.move_to import Moving
from world.commands.say import Saying
from world.genesis import new_chunk
from world.grid import index_of
from world.ids import AgentId, ServerCmdId, Tick
from world.inputs import Load
from world.nodes import Node
from world.ores import NodeSpec
from world.records import AgentRecord, RunningCommand
from world.running import Running, Ticket

TICKET = Ticket(ServerCmdId("s"), "c", "t", Tick(4), 7)
ONE_OF_EACH: dict[str, Running] = {
    "move_to": Moving.to(TICKET, index_of(0, 24), [index_of(0, 24)]),
    "harvest": Harvesting(TICKET, Node(HALL, NodeSpec(0, 1, 1, 3)), Tick(9), 2),
    "say": Saying(TICKET, "hi"),
    "give": Giving(TICKET, AgentId("bob"), 3),
}


def test_every_kind_is_here() -> None:
    assert ONE_OF_EACH.keys() == RULES.keys()


@pytest.mark.parametrize("kind", RULES)
def test_records_of_every_kind_come_back(kind: str) -> None:
    """Through JSON; the record names its kind, and the kind knows its rule."""
    running = ONE_OF_EACH[kind]
    record = running.to_record(index_of(1, 24))
    assert record.kind == kind
    assert Ticket.of(record) == TICKET
    assert RunningCommand.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert rule_of(running) is rule_named(kind) is RULES[kind]


@pytest.mark.parametrize("kind", RULES)
def test_every_kind_goes_on_after_a_crash(kind: str) -> None:
    """What is recorded is taken up again as the same thing, and recorded as before."""
    world = TinyCluster()
    world.join("bob", 20, 26)
    world.join("ann", 20, 25)
    shard = world.shards[0]
    node = next(iter(shard.chunk_static(HALL)["resource_nodes"]))["node_id"]
    details = {
        "move_to": {"target": [24, 25], "origin": [20, 25], "path": "EEEE"},
        "harvest": {"node_id": node, "due_tick": 9, "harvested": 2},
        "say": {"text": "hi"},
        "give": {"agent_id": "bob", "amount": 3},
    }[kind]
    record = RunningCommand(kind, *TICKET.fields, details=details)
    agents = [AgentRecord(AgentId("ann"), HALL, 20, 25, running=record)]
    other = type(shard)(world.rules, 1, 0)
    other.apply(Load(new_chunk(1, 0, None, world.rules), agents))
    found = other.agent(AgentId("ann"))
    assert found is not None
    assert found.running == record


def test_an_unknown_kind_is_no_other_kind() -> None:
    """A newer version's record is refused with the reason, not taken for a walk that found no way."""
    world = TinyCluster()
    record = RunningCommand("fly", *TICKET.fields, details={"z": 3})
    assert RunningCommand.from_json(record.to_json()) == record
    other = type(world.shards[0])(world.rules, 1, 0)
    with pytest.raises(UnknownCommand, match="'fly': a newer version"):
        other.apply(
            Load(
                new_chunk(1, 0, None, world.rules),
                [AgentRecord(AgentId("ann"), HALL, 20, 25, running=record)],
            )
        )


def test_a_walk_is_kept_as_what_is_left_of_it() -> None:
    """From where the agent stands, a letter a step."""
    cells = [(21, 25), (21, 26), (20, 26), (20, 25)]
    moving = Moving.to(TICKET, index_of(20, 25), [index_of(x, y) for x, y in reversed(cells)])
    assert moving.details(index_of(20, 25)) == {"origin": [20, 25], "target": [20, 25], "path": "ENWS"}
    moving.path.pop()
    assert moving.details(index_of(21, 25)) == {"origin": [21, 25], "target": [20, 25], "path": "NWS"}


def test_stepping_out_of_the_cell_one_stands_on() -> None:
    door = index_of(0, 24)
    moving = Moving.to(TICKET, door, [door])
    assert moving.details(door) == {"origin": [0, 24], "target": [0, 24], "path": ""}
    assert moving.crossing is not None
    assert (moving.crossing.side, moving.crossing.at_door) == ("W", True)


def test_a_new_command_interrupts_only_what_says_so() -> None:
    """Of all kinds only a harvest."""
    assert [kind for kind, rule in RULES.items() if rule.INTERRUPTIBLE] == ["harvest"]
    world = TinyCluster()
    world.join("bob", 20, 26)
    world.join("ann", 20, 25, gold=5)
    world.submit("ann", {"type": "give", "agent_id": "bob", "amount": 1})
    assert world.submit("ann", {"type": "say", "text": "x"}).reason == "busy"
