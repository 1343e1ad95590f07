"""The books of a chunk: who stands where, and plans on it."""

from __future__ import annotations

import pytest

from tests.world.harness import HALL, QUIET
from world.actors import Actor, Npc
from world.chunk import Chunk, Reservation
from world.genesis import new_chunk
from world.grid import CELLS, STEP, distance, index_of
from world.ids import AgentId, HandoffId
from world.inputs import Occupant
from world.records import AgentRecord, NpcRecord
from world.terrain import make_terrain


@pytest.fixture
def chunk() -> Chunk:
    """An empty hall."""
    return Chunk(new_chunk(1, 0, None, QUIET), make_terrain(1, 0, None, QUIET))


def seat(chunk: Chunk, name: str, x: int, y: int) -> Actor:
    actor = Actor(AgentRecord(AgentId(name), HALL, x, y), HALL, index_of(x, y))
    chunk.seat(actor)
    return actor


def test_books_agree(chunk: Chunk) -> None:
    """Occupants, the planner's costs and the sorted list follow every seat, step and leave."""
    b, a = seat(chunk, "b", 20, 25), seat(chunk, "a", 22, 25)
    chunk.step(b, index_of(20, 26))
    assert chunk.ordered == [a, b]
    assert chunk.occupants == {index_of(20, 26): b, index_of(22, 25): a}
    assert (chunk.walk[index_of(20, 25)], chunk.walk[index_of(20, 26)]) == (1, 0)
    for actor in (a, b):
        chunk.unseat(actor)
    assert chunk.walk == chunk.ground
    assert not chunk.occupants
    assert not chunk.ordered


def test_a_boundary_cell_never_opens(chunk: Chunk) -> None:
    """Somebody came and went on it: still nobody may walk over it."""
    door = index_of(0, 24)
    actor = seat(chunk, "a", 0, 24)
    assert chunk.walk[door] == 0
    chunk.step(actor, index_of(1, 24))
    assert chunk.walk[door] == 0


def test_plans_leave_no_traces(chunk: Chunk) -> None:
    """Opening a boundary cell for one plan does not open it for the next."""
    before = bytes(chunk.walk)
    assert chunk.plan(index_of(3, 24), index_of(0, 24)) == [index_of(x, 24) for x in (0, 1, 2)]
    assert bytes(chunk.walk) == before
    chunk.forget_planner()
    assert chunk.plan(index_of(3, 24), index_of(1, 24)) == [index_of(x, 24) for x in (1, 2)]


def test_plans_see_who_came_after_the_first_plan(chunk: Chunk) -> None:
    """The planner is made once; what it looks at is kept up to date."""
    start, goal = index_of(20, 25), index_of(22, 25)
    assert chunk.plan(start, goal) == [goal, index_of(21, 25)]
    chunk.add_npc(Npc(NpcRecord("slime", 21, 25, "slime")))
    around = chunk.plan(start, goal)
    assert around is not None
    assert len(around) == 4
    chunk.step_npc(chunk.npcs[0], index_of(22, 25))
    assert chunk.plan(start, goal) is None


def test_own_cell(chunk: Chunk) -> None:
    """Nothing to walk inside; one step out on the boundary."""
    assert chunk.plan(index_of(20, 25), index_of(20, 25)) == []
    assert chunk.plan(index_of(0, 24), index_of(0, 24)) == [index_of(0, 24)]


def test_who_is_in_the_way(chunk: Chunk) -> None:
    """A body before a reservation, and one's own reservation not at all."""
    cell = index_of(0, 24)
    assert chunk.in_the_way(cell) is None
    chunk.reserved[cell] = Reservation(HandoffId("h"), AgentId("a"))
    assert chunk.in_the_way(cell) == Occupant("a", 0, 24)
    assert chunk.in_the_way(cell, HandoffId("h")) is None
    seat(chunk, "b", 0, 24)
    assert chunk.in_the_way(cell, HandoffId("h")) == Occupant("b", 0, 24)
    assert not chunk.free_for_arrival(cell, HandoffId("h"))
    assert not chunk.free_for_arrival(index_of(0, 0), HandoffId("h"))
    assert chunk.free_for_arrival(index_of(0, 25), HandoffId("h"))


def test_a_plan_by_one_cell_is_that_of_the_search(chunk: Chunk, monkeypatch: pytest.MonkeyPatch) -> None:
    """From and to every cell beside each other, some of them taken, doors among them."""
    for number, (x, y) in enumerate([(24, 0), (25, 1), (25, 25), (26, 25), (0, 24), (48, 25)]):
        seat(chunk, f"agent-{number}", x, y)
    pairs = [(cell, cell + change) for cell in range(CELLS) for change in STEP.values() if 0 <= cell + change < CELLS]
    pairs = [pair for pair in pairs if chunk.floor[pair[0]] and distance(*pair) == 1]
    at_once = [chunk.plan(*pair) for pair in pairs]
    monkeypatch.setattr("world.chunk._ONE_STEP", ())
    searched = [chunk.plan(*pair) for pair in pairs]
    assert at_once == searched
    assert {None if plan is None else len(plan) for plan in searched} == {None, 1}


def test_the_other_end_of_the_next_row_is_not_beside(chunk: Chunk) -> None:
    """Cells are numbered row by row."""
    path = chunk.plan(index_of(49, 24), index_of(0, 25))
    assert path is not None
    assert len(path) > 40
