"""The chunk's grid: 50 x 50 cells, x to the east, y to the north, both 0..49.

Inside the core a cell is one number, its index ``y * WIDTH + x``; arrays are indexed ``[y, x]``, so an
index is also the position in a flattened array.  Source: docs/protocol.md, "Constants".
"""

from __future__ import annotations

from typing import Final

from world.ids import Direction

WIDTH: Final = 50
LAST: Final = WIDTH - 1
CELLS: Final = WIDTH * WIDTH
CENTRE: Final = (25, 25)

GATE_FIRST: Final = 23
#: An exit is cells 23..26 of its side.
GATE_LAST: Final = 26

X_OF: Final[tuple[int, ...]] = tuple(index % WIDTH for index in range(CELLS))
Y_OF: Final[tuple[int, ...]] = tuple(index // WIDTH for index in range(CELLS))

#: What a step adds to a cell's index.
STEP: Final[dict[Direction, int]] = {"N": WIDTH, "E": 1, "S": -WIDTH, "W": -1}
STEP_LETTER: Final[dict[int, Direction]] = {change: letter for letter, change in STEP.items()}


def index_of(x: int, y: int) -> int:
    """Return the index of a cell."""
    return y * WIDTH + x


def cell_of(x: object, y: object) -> int | None:
    """Return the index of a cell given from outside; None for what is not on the grid."""
    if type(x) is not int or type(y) is not int or not (0 <= x < WIDTH and 0 <= y < WIDTH):
        return None
    return index_of(x, y)


def _side(x: int, y: int) -> Direction | None:
    if x == LAST:
        return "E"
    if x == 0:
        return "W"
    if y == LAST:
        return "N"
    return "S" if y == 0 else None


#: The side on which stepping onto a cell leaves the chunk; None for inner cells.  Corners are always wall.
SIDE_OF: Final[tuple[Direction | None, ...]] = tuple(_side(X_OF[index], Y_OF[index]) for index in range(CELLS))


def mirrored(cell: int) -> int:
    """Return the cell of the neighbouring chunk at which an agent arrives that steps onto this boundary cell."""
    x, y = X_OF[cell], Y_OF[cell]
    side = SIDE_OF[cell]
    if side in ("E", "W"):
        return index_of(LAST - x, y)
    return index_of(x, LAST - y)


def distance(one: int, other: int) -> int:
    """Return Manhattan distance of two cells."""
    return abs(X_OF[one] - X_OF[other]) + abs(Y_OF[one] - Y_OF[other])
