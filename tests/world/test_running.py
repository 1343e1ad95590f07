"""Commands under way, as they are kept."""

from __future__ import annotations

from tests.world.harness import HALL
from world.grid import index_of
from world.ids import ChunkId, ServerCmdId, Tick
from world.nodes import Node
from world.ores import NodeSpec
from world.running import Harvesting, Moving, Saying, Ticket

TICKET = Ticket(ServerCmdId("s"), "c", "t", Tick(4), 7)


def test_tickets_go_into_records_and_come_back() -> None:
    for running in (Saying(TICKET, "hi"), Harvesting(TICKET, Node(HALL, NodeSpec(0, 1, 1, 3)), Tick(9), 2)):
        assert Ticket.of(running.to_record(0)) == TICKET


def test_a_walk_is_kept_as_what_is_left_of_it() -> None:
    """From where the agent stands, a letter a step."""
    cells = [(21, 25), (21, 26), (20, 26), (20, 25)]
    moving = Moving(TICKET, index_of(20, 25), None, [index_of(x, y) for x, y in reversed(cells)])
    record = moving.to_record(index_of(20, 25))
    assert (record.origin, record.target, record.path) == ((20, 25), (20, 25), "ENWS")
    moving.path.pop()
    record = moving.to_record(index_of(21, 25))
    assert (record.origin, record.path) == ((21, 25), "NWS")


def test_stepping_out_of_the_cell_one_stands_on() -> None:
    door = index_of(0, 24)
    record = Moving(TICKET, door, "W", [door]).to_record(door)
    assert (record.origin, record.target, record.path) == ((0, 24), (0, 24), "")


def test_a_harvest_keeps_when_it_is_due() -> None:
    record = Harvesting(TICKET, Node(ChunkId("chunk-2"), NodeSpec(3, 1, 1, 3)), Tick(9), 2).to_record(0)
    assert (record.node_id, record.due_tick, record.harvested) == ("chunk-2-node-3", 9, 2)
