"""Ways through a chunk, as the server plans them: 4-connected, floor only, boundary cells only as the target.

Pure functions over ``grid[y][x]`` (0 floor, 1 wall) and a set of taken cells.  Stepping onto a boundary cell leaves the
chunk on that side, so a path may end there but not lead through it; it may start there, since arrivals do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeAlias

from chunkcrawl.wire.messages import Direction

__all__ = ["STEPS", "Grid", "Point", "distances", "exit_cells", "is_boundary", "is_floor", "manhattan", "path"]

Grid: TypeAlias = Sequence[Sequence[int]]
Point: TypeAlias = tuple[int, int]

#: N, E, S, W.
STEPS: Final[tuple[Point, ...]] = ((0, 1), (1, 0), (0, -1), (-1, 0))


def is_floor(grid: Grid, x: int, y: int) -> bool:
    """Return whether the cell lies in the chunk and is floor."""
    return 0 <= y < len(grid) and 0 <= x < len(grid[y]) and grid[y][x] == 0


def is_boundary(grid: Grid, x: int, y: int) -> bool:
    """Return whether stepping onto the cell leaves the chunk."""
    return x in (0, len(grid[0]) - 1) or y in (0, len(grid) - 1)


def manhattan(a: Point, b: Point) -> int:
    """Return steps between two cells if nothing were in the way."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def distances(grid: Grid, start: Point, taken: Collection[Point] = ()) -> dict[Point, int]:
    """Return steps to every cell that a move from ``start`` can reach; ``start`` itself is 0.

    Args:
        grid: Rows of the chunk, ``grid[y][x]``.
        start: Where one stands; it counts as free whatever ``taken`` says.
        taken: Cells that are occupied; a set makes it fast.

    Returns:
        Reachable cells in order of distance, then in the fixed order N, E, S, W of discovery.  O(cells).
    """
    found = {start: 0}
    queue = deque((start,))
    while queue:
        here = queue.popleft()
        if here != start and is_boundary(grid, *here):
            continue
        for cell in _around(here):
            if cell not in found and is_floor(grid, *cell) and cell not in taken:
                found[cell] = found[here] + 1
                queue.append(cell)
    return found


def path(grid: Grid, start: Point, goal: Point, taken: Collection[Point] = ()) -> list[Point] | None:
    """Return the cells after ``start`` up to ``goal``; empty when already there, None when there is no way."""
    steps = distances(grid, start, taken)
    if goal not in steps:
        return None
    way: list[Point] = []
    here = goal
    while here != start:
        way.append(here)
        # A boundary cell is never passed through, so it is no predecessor, however near.
        here = next(
            cell
            for cell in _around(here)
            if steps.get(cell) == steps[here] - 1 and (cell == start or not is_boundary(grid, *cell))
        )
    way.reverse()
    return way


def exit_cells(grid: Grid) -> dict[Direction, list[Point]]:
    """Return the floor cells of each side that has any: where one leaves the chunk to the N, E, S or W."""
    height, width = len(grid), len(grid[0])
    sides: dict[Direction, list[Point]] = {
        "N": [(x, height - 1) for x in range(width)],
        "E": [(width - 1, y) for y in range(height)],
        "S": [(x, 0) for x in range(width)],
        "W": [(0, y) for y in range(height)],
    }
    open_cells = {side: [cell for cell in cells if is_floor(grid, *cell)] for side, cells in sides.items()}
    return {side: cells for side, cells in open_cells.items() if cells}


def _around(cell: Point) -> Iterator[Point]:
    x, y = cell
    return ((x + dx, y + dy) for dx, dy in STEPS)
