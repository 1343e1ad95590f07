"""Ways through a chunk, checked against their own rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chunkcrawl.view.paths import distances, exit_cells, is_boundary, is_floor, manhattan, path

SIZE = 7
grids = st.lists(st.lists(st.integers(0, 1), min_size=SIZE, max_size=SIZE), min_size=SIZE, max_size=SIZE)
cells = st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))


@given(grids, cells, cells, st.sets(cells, max_size=6))
def test_a_path_is_walkable_shortest_and_leaves_only_at_its_end(
    grid: list[list[int]], start: tuple[int, int], goal: tuple[int, int], taken: set[tuple[int, int]]
) -> None:
    way = path(grid, start, goal, taken)
    steps = distances(grid, start, taken)
    if way is None:
        assert goal not in steps
        return
    assert len(way) == steps[goal]
    for here, there in zip([start, *way], way, strict=False):
        assert manhattan(here, there) == 1
        assert is_floor(grid, *there)
        assert there not in taken or there == start
    assert not any(is_boundary(grid, *cell) for cell in way[:-1])


def test_exits_are_named_by_side_with_y_growing_north() -> None:
    grid = [[1] * 5 for _ in range(5)]
    grid[4][2] = grid[1][0] = 0
    assert exit_cells(grid) == {"N": [(2, 4)], "W": [(0, 1)]}


def test_one_who_arrived_on_a_boundary_cell_can_walk_in() -> None:
    grid = [[0] * 5 for _ in range(5)]
    assert path(grid, (0, 2), (2, 2)) == [(1, 2), (2, 2)]
