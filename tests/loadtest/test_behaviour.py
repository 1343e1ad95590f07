"""What simulated agents decide."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from chunkcrawl.bots.rules import Harvest, Move, Rest, Say
from chunkcrawl.view.paths import is_boundary, is_floor, manhattan
from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire.messages import ChunkDelta, ChunkStatic, NodeState
from loadtest.behaviour import BEHAVIOURS, cross, crowd, harvest, stroll, wander
from loadtest.plan import Scenario
from tests.loadtest.makers import hall


def many(behaviour: object, view: WorldView, count: int = 300) -> list[object]:
    rng = random.Random(3)
    assert callable(behaviour)
    return [behaviour(view, rng) for _ in range(count)]


def test_every_scenario_has_a_behaviour() -> None:
    assert set(BEHAVIOURS) == set(get_args(Scenario))


@pytest.mark.parametrize("name", get_args(Scenario))
def test_the_same_seed_decides_alike(name: str) -> None:
    behaviour = BEHAVIOURS[name]  # type: ignore[index]
    view = hall((24, 25), (26, 25), nodes=((10, 10),))
    assert many(behaviour, view) == many(behaviour, view)


def test_a_stroll_ends_near_by_on_free_floor() -> None:
    view = hall((24, 25), at=(2, 3))
    for move in many(stroll, view):
        assert isinstance(move, Move)
        assert abs(move.x - 2) <= 8
        assert abs(move.y - 3) <= 8
        assert view.is_free(move.x, move.y)
        assert (move.x, move.y) != (2, 3)
        assert not is_boundary(view.grid, move.x, move.y)


def test_wanderers_also_talk_and_leave() -> None:
    found = many(wander, hall(), 1_000)
    assert any(isinstance(one, Say) for one in found)
    assert any(isinstance(one, Move) and one.y == 49 for one in found)


def test_a_crowd_meets_in_the_middle_where_there_is_room() -> None:
    for move in many(crowd, hall((25, 25), (25, 26), at=(3, 3))):
        assert isinstance(move, Move)
        assert manhattan((move.x, move.y), (25, 25)) <= 6
        assert (move.x, move.y) not in {(25, 25), (25, 26)}


def test_crossing_takes_a_free_exit() -> None:
    assert set(many(cross, hall((23, 49), (24, 49)))) == {Move(25, 49), Move(26, 49)}


def test_without_a_free_exit_one_strolls() -> None:
    taken = tuple((x, 49) for x in range(23, 27))
    assert all(isinstance(one, Move) and one.y < 49 for one in many(cross, hall(*taken)))


def test_harvesters_go_to_the_nearest_gold_and_take_it() -> None:
    nodes = ((40, 40), (20, 25))
    assert harvest(hall(nodes=nodes), random.Random(1)) == Move(21, 25)
    assert harvest(hall(at=(20, 26), nodes=nodes), random.Random(1)) == Harvest("n1")


def test_harvesters_leave_a_node_that_is_surrounded_for_another() -> None:
    around = ((21, 25), (19, 25), (20, 24), (20, 26))
    assert harvest(hall(*around, nodes=((40, 40), (20, 25))), random.Random(1)) == Move(39, 40)


def test_where_all_is_taken_they_look_elsewhere() -> None:
    view = hall(nodes=((20, 25),))
    gone = [NodeState("n0", 0, "depleted")]
    view.feed(ChunkDelta(chunk_id="chunk-0", tick=8, agents=list(view.agents.values()), resources=gone))
    assert isinstance(harvest(view, random.Random(1)), Move)
    assert all(
        is_floor(view.grid, one.x, one.y) and one.y == 49 for one in many(harvest, view) if isinstance(one, Move)
    )


@pytest.mark.parametrize("name", get_args(Scenario))
@pytest.mark.parametrize("grid", [[], [[]], [[0]], [[999, -1], [0, 0]], [[0], [0, 0, 0]]])
def test_no_terrain_of_a_server_is_a_fault_of_ours(name: str, grid: list[list[int]]) -> None:
    view = WorldView("me")
    view.feed(ChunkStatic(chunk_id="c", grid=grid, tiles=[]))
    view.feed(ChunkDelta(chunk_id="c", tick=1, agents=list(hall(at=(0, 0)).agents.values())))
    for action in many(BEHAVIOURS[name], view, 30):  # type: ignore[index]
        assert isinstance(action, Move | Rest | Say)
