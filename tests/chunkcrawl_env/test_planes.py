"""Layers of chunks, and what is cut out of them."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from chunkcrawl_env.planes import AGENT, BESIDE, FAR, FLOOR, GOLD, Planes, steps_to
from world.grid import SIDE_OF, STEP, index_of
from world.ids import DIRECTIONS
from world.rules import Rules
from world.terrain import make_terrain

TERRAIN = make_terrain(5, 1, "W", Rules())
NODES = [index_of(node.x, node.y) for node in TERRAIN.nodes]


def one(value: int) -> np.ndarray:
    return np.array([value], dtype=np.intp)


def test_beside_stays_within_the_chunk() -> None:
    for number, side in enumerate(DIRECTIONS):
        inner = index_of(20, 20)
        assert BESIDE[number, inner] == inner + STEP[side]
    for x, y in ((0, 24), (49, 24), (24, 0), (24, 49)):
        cell = index_of(x, y)
        [out] = [number for number in range(4) if BESIDE[number, cell] == cell]
        assert DIRECTIONS[out] == SIDE_OF[cell]


def test_steps_are_those_of_a_search_cell_by_cell() -> None:
    goals = [index_of(x, y) for y in range(50) for x in range(50) if TERRAIN.floor[y, x]][100:102]
    steps = dict.fromkeys(goals, 0)
    queue = deque(goals)
    while queue:
        cell = queue.popleft()
        for there in BESIDE[:, cell].tolist():
            if there not in steps and TERRAIN.floor[there // 50, there % 50]:
                steps[there] = steps[cell] + 1
                queue.append(there)
    expected = np.full(2500, FAR)
    expected[list(steps)] = list(steps.values())
    assert (steps_to(TERRAIN.floor, goals) == expected).all()


def test_from_nowhere_there_is_no_way() -> None:
    assert (steps_to(TERRAIN.floor, []) == FAR).all()


@pytest.mark.parametrize("count", [1, 4, 5, 30])
def test_rows_are_kept_apart_however_many_there_are(count: int) -> None:
    planes = Planes(2)
    rows = [planes.add(TERRAIN.floor, NODES) for _ in range(count)]
    assert len(set(rows)) == count
    for number, row in enumerate(rows):
        planes.set_gold(row, 0, number + 1)
    at = np.full(count, NODES[0], dtype=np.intp)
    windows = planes.windows(np.array(rows), at)
    assert windows[:, 2, 2, GOLD].tolist() == [number + 1 for number in range(count)]


def test_a_row_that_is_given_again_has_nothing_of_before() -> None:
    planes = Planes(1, ways=True)
    row = planes.add(TERRAIN.floor, NODES)
    planes.set_gold(row, 0, 9)
    planes.set_agents(one(row), one(NODES[0]))
    planes.remove(row)
    empty = np.zeros((50, 50), dtype=bool)
    again = planes.add(empty, [])
    assert again == row
    assert not planes.chunks(one(row), one(0))[..., :-1].any()
    assert planes.in_reach(one(row), one(NODES[0])).tolist() == [-1]


def test_beyond_the_edge_there_is_nothing() -> None:
    planes = Planes(4)
    row = planes.add(np.ones((50, 50), dtype=bool), [])
    window = planes.windows(one(row), one(index_of(0, 49)))[0]
    assert window[:5, 4:, FLOOR].all()
    assert not window[5:].any()
    assert not window[:, :4].any()


def test_agents_that_go_leave_nothing_behind() -> None:
    planes = Planes(1)
    row = planes.add(np.ones((50, 50), dtype=bool), [])
    for cell in (100, 101):
        planes.set_agents(one(row), one(cell))
    assert planes.chunks(one(row), one(0))[..., AGENT].sum() == 1
    assert not planes.free(one(row))[0, 101]
    assert planes.free_beside(one(row), one(100)).tolist() == [[True, False, True, True]]


def test_units_that_do_not_fit_are_cut_off() -> None:
    planes = Planes(1)
    row = planes.add(TERRAIN.floor, NODES)
    planes.set_gold(row, 1, 1000)
    assert planes.windows(one(row), one(NODES[1]))[0, 1, 1, GOLD] == 255


def test_ways_lead_to_gold_that_is_left_and_to_exits() -> None:
    planes = Planes(1, ways=True)
    row = planes.add(TERRAIN.floor, NODES)
    start = index_of(*next((x, y) for y in range(20, 30) for x in range(20, 30) if TERRAIN.floor[y, x]))
    assert planes.ways(one(row), one(start)).to_gold.tolist() == [[FAR] * 5]
    planes.set_gold(row, 2, 7)
    cell, steps = start, []
    while True:
        ways = planes.ways(one(row), one(cell))
        steps.append(int(ways.to_gold[0, 0]))
        assert ways.units.tolist() == [7]
        if steps[-1] == 0:
            break
        cell = int(BESIDE[ways.to_gold[0, 1:].argmin(), cell])
    assert steps == list(range(len(steps)))[::-1]
    assert planes.in_reach(one(row), one(cell)).tolist() == [2]
    assert 0 < planes.ways(one(row), one(start)).to_exit[0, 0] < 100


def test_sides_that_are_open() -> None:
    planes = Planes(3)
    row = planes.add(TERRAIN.floor, NODES)
    assert planes.open_sides(one(row))[0].tolist() == [side in TERRAIN.exits for side in DIRECTIONS]
