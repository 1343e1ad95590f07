"""Cells, sides and where one arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.world.reach import gate_cells
from world.grid import CELLS, SIDE_OF, X_OF, Y_OF, cell_of, distance, index_of, mirrored
from world.ids import DIRECTIONS, OPPOSITE, Direction


@pytest.mark.parametrize(
    ("leaving", "arriving"),
    [((0, 23), (49, 23)), ((49, 26), (0, 26)), ((24, 0), (24, 49)), ((25, 49), (25, 0))],
    ids=["W", "E", "S", "N"],
)
def test_arrival_cells_of_the_contract(leaving: tuple[int, int], arriving: tuple[int, int]) -> None:
    assert mirrored(index_of(*leaving)) == index_of(*arriving)


@pytest.mark.parametrize("side", DIRECTIONS)
def test_gates_face_each_other(side: Direction) -> None:
    """The four cells of an exit lie on its side and lead to the opposite exit."""
    assert {SIDE_OF[cell] for cell in gate_cells(side)} == {side}
    assert [mirrored(cell) for cell in gate_cells(side)] == gate_cells(OPPOSITE[side])


@given(st.integers(0, CELLS - 1))
def test_index_and_coordinates_agree(cell: int) -> None:
    assert index_of(X_OF[cell], Y_OF[cell]) == cell == cell_of(X_OF[cell], Y_OF[cell])
    assert (SIDE_OF[cell] is None) == (0 < X_OF[cell] < 49 and 0 < Y_OF[cell] < 49)


@pytest.mark.parametrize("place", [(-1, 0), (0, 50), (True, 1), (1.0, 1), ("1", 1), (None, 1), (10**30, 1)])
def test_what_is_not_a_cell(place: tuple[object, object]) -> None:
    assert cell_of(*place) is None


def test_distance_is_manhattan() -> None:
    assert distance(index_of(1, 2), index_of(4, 0)) == 5
