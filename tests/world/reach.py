"""A second opinion on walking: a plain breadth-first search, to hold the planner and the terrain against."""

from __future__ import annotations

from collections import deque
from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from world.grid import CELLS, GATE_FIRST, GATE_LAST, LAST, SIDE_OF, STEP, X_OF, Y_OF, index_of
from world.ids import Direction


def distances(floor: NDArray[np.bool_], start: int, taken: Set[int] = frozenset()) -> dict[int, int]:
    """Steps from ``start`` to each cell that can be reached; boundary cells are reached but not passed."""
    walkable = floor.ravel()
    found = {start: 0}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if SIDE_OF[here] is not None and here != start:
            continue
        for change in STEP.values():
            there = here + change
            beside = 0 <= there < CELLS and abs(X_OF[there] - X_OF[here]) + abs(Y_OF[there] - Y_OF[here]) == 1
            if beside and walkable[there] and there not in found and there not in taken:
                found[there] = found[here] + 1
                waiting.append(there)
    return found


def reachable(floor: NDArray[np.bool_], start: int) -> set[int]:
    """The cells that can be reached."""
    return set(distances(floor, start))


def gate_cells(side: Direction) -> list[int]:
    """Return the four boundary cells of an exit."""
    along = range(GATE_FIRST, GATE_LAST + 1)
    if side in ("N", "S"):
        return [index_of(place, LAST if side == "N" else 0) for place in along]
    return [index_of(LAST if side == "E" else 0, place) for place in along]
