"""What is where, as arrays: layers of cells for any number of chunks, and what is cut out of them for agents.

Nothing here goes cell by cell in Python.  Layers are uint8, indexed ``[row, y, x, layer]``: a row is a chunk, y counts
from the south and x from the west as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from tcod.path import dijkstra2d

from world.commands.harvest import REACH
from world.grid import CELLS, SIDE_OF, STEP, WIDTH, X_OF, Y_OF, cell_of
from world.ids import DIRECTIONS

#: 1 on floor, 0 on walls and beyond the chunk.
FLOOR: Final = 0
#: 1 on the floor cells of the boundary: a step there leaves the chunk.
EXIT: Final = 1
#: 1 where a gold node is, whatever is left in it.
NODE: Final = 2
#: Units that can be dug from the node there now, 255 at most.
GOLD: Final = 3
#: 1 where an agent stands, the one that looks included.
AGENT: Final = 4
#: 1 where a creature stands.
CREATURE: Final = 5
LAYERS: Final = ("floor", "exit", "node", "gold", "agent", "creature")

UNITS_MOST: Final = 255
#: Steps to what can't be walked to.
FAR: Final = 9_999

_X: Final = np.array(X_OF, dtype=np.intp)
_Y: Final = np.array(Y_OF, dtype=np.intp)
BOUNDARY: Final = np.array([side is not None for side in SIDE_OF])


def _beside(cell: int, change: int) -> int:
    """Return the cell one step away; beyond the edge it is the cell itself, and told to go there one leaves."""
    x, y = X_OF[cell], Y_OF[cell]
    there = cell_of(x + (change == 1) - (change == -1), y + (change == WIDTH) - (change == -WIDTH))
    return cell if there is None else there


#: ``BESIDE[side, cell]``: where a step to N, E, S, W leads; shape (4, 2500).
BESIDE: Final = np.array([[_beside(cell, STEP[side]) for cell in range(CELLS)] for side in DIRECTIONS], dtype=np.intp)


class Planes:
    """The layers of some chunks, each in a row of its own.

    Args:
        radius: Cells that windows reach to each side.
        ways: Whether ``ways`` will be asked for: how far it is to gold and exits from every cell.
    """

    def __init__(self, radius: int, *, ways: bool = False) -> None:
        self._radius = radius
        self._width = WIDTH + 2 * radius
        self._ways = ways
        self._free: list[int] = []
        self._agents_at: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._creatures_at: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        #: Where a cell of a chunk is in a row with its margins.
        self._place = (_Y + radius) * self._width + _X + radius
        self._set_rows(np.zeros((0, self._width, self._width, len(LAYERS)), dtype=np.uint8))
        self._node_cells = np.full((0, 1), -1, dtype=np.intp)
        self._gold = np.zeros((0, 1), dtype=np.int32)
        self._to_nodes = np.zeros((0, 1, CELLS), dtype=np.int16)
        self._to_exits = np.zeros((0, CELLS), dtype=np.int16)

    def _set_rows(self, layers: NDArray[np.uint8]) -> None:
        self._layers = layers
        #: ``[row * place, layer]``, the same memory.
        self._flat = layers.reshape(-1, len(LAYERS))
        width, depth = self._width, len(LAYERS)
        wide = 2 * self._radius + 1
        across = width - wide + 1
        #: ``[row, y, x]`` is the window around a cell, rows of cells with all layers side by side.
        self._windows = as_strided(
            layers,
            (len(layers), across, across, wide, wide * depth),
            (width * width * depth, width * depth, depth, width * depth, 1),
            writeable=False,
        )

    # -- chunks come and go --

    def add(self, floor: NDArray[Any], nodes: Sequence[int]) -> int:
        """Take in a chunk; returns its row.

        Args:
            floor: Shape (50, 50), ``[y, x]``, true on floor.
            nodes: The cells of its gold nodes; all are empty until ``set_gold``.
        """
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._widen(len(nodes))
        self._node_cells[row] = -1
        self._node_cells[row, : len(nodes)] = nodes
        self._gold[row] = 0
        inner = slice(self._radius, self._radius + WIDTH)
        layers = self._layers[row]
        layers[:] = 0
        layers[inner, inner, FLOOR] = floor
        flat = self._flat[row * self._width**2 : (row + 1) * self._width**2]
        doors = np.flatnonzero(BOUNDARY & np.asarray(floor, dtype=bool).reshape(-1))
        flat[self._place[doors], EXIT] = 1
        flat[self._place[np.array(nodes, dtype=np.intp)], NODE] = 1
        if self._ways:
            cells = np.asarray(floor, dtype=bool)
            self._to_exits[row] = steps_to(cells, doors)
            for number, node in enumerate(nodes):
                self._to_nodes[row, number] = steps_to(cells, [c for c in BESIDE[:, node] if not BOUNDARY[c]])
        return row

    def remove(self, row: int) -> None:
        """Forget a chunk; its row is given to another."""
        self._layers[row] = 0
        self._free.append(row)

    def _grow(self) -> None:
        before = len(self._layers)
        more = max(before, 4)
        self._free.extend(range(before + more - 1, before - 1, -1))
        self._set_rows(np.concatenate([self._layers, np.zeros((more, *self._layers.shape[1:]), dtype=np.uint8)]))
        self._node_cells = _longer(self._node_cells, more, 0, -1)
        self._gold = _longer(self._gold, more, 0, 0)
        self._to_nodes = _longer(self._to_nodes, more if self._ways else 0, 0, FAR)
        self._to_exits = _longer(self._to_exits, more if self._ways else 0, 0, FAR)

    def _widen(self, nodes: int) -> None:
        more = nodes - self._node_cells.shape[1]
        if more > 0:
            self._node_cells = _longer(self._node_cells, more, 1, -1)
            self._gold = _longer(self._gold, more, 1, 0)
            self._to_nodes = _longer(self._to_nodes, more, 1, FAR)

    # -- what changes --

    def set_gold(self, row: int, number: int, units: int) -> None:
        """Set how much can be dug from a chunk's node now; 0 while it grows back."""
        self._gold[row, number] = units
        place = row * self._width**2 + self._place[self._node_cells[row, number]]
        self._flat[place, GOLD] = min(units, UNITS_MOST)

    def set_agents(self, rows: NDArray[np.intp], cells: NDArray[np.intp]) -> None:
        """Set where all agents stand, one row and cell for each."""
        self._flat[self._agents_at, AGENT] = 0
        self._agents_at = rows * self._width**2 + self._place[cells]
        self._flat[self._agents_at, AGENT] = 1

    def set_creatures(self, rows: NDArray[np.intp], cells: NDArray[np.intp]) -> None:
        """Set where all creatures stand, one row and cell for each."""
        self._flat[self._creatures_at, CREATURE] = 0
        self._creatures_at = rows * self._width**2 + self._place[cells]
        self._flat[self._creatures_at, CREATURE] = 1

    # -- looking: one row and cell for each agent that looks --

    def windows(self, rows: NDArray[np.intp], cells: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return what is around the cells; shape (agents, 2 radius + 1, 2 radius + 1, layers)."""
        wide = 2 * self._radius + 1
        return self._windows[rows, _Y[cells], _X[cells]].reshape(len(rows), wide, wide, len(LAYERS))

    def chunks(self, rows: NDArray[np.intp], cells: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the whole chunks, with one more layer that is 1 on the cell; shape (agents, 50, 50, layers + 1)."""
        inner = slice(self._radius, self._radius + WIDTH)
        seen = np.zeros((len(rows), WIDTH, WIDTH, len(LAYERS) + 1), dtype=np.uint8)
        seen[..., :-1] = self._layers[rows, inner, inner]
        seen[np.arange(len(rows)), _Y[cells], _X[cells], -1] = 1
        return seen

    def free_beside(self, rows: NDArray[np.intp], cells: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether a step to N, E, S, W leads onto a free cell, or out of the chunk; shape (agents, 4)."""
        there = BESIDE[:, cells].T
        seen = self._flat[rows[:, None] * self._width**2 + self._place[there]]
        free = (seen[..., FLOOR] == 1) & (seen[..., AGENT] == 0) & (seen[..., CREATURE] == 0)
        result: NDArray[np.bool_] = free | (there == cells[:, None])
        return result

    def free(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return which cells of the chunks are floor on which nobody stands; shape (agents, 2500)."""
        inner = slice(self._radius, self._radius + WIDTH)
        seen = self._layers[rows, inner, inner]
        result: NDArray[np.bool_] = (seen[..., FLOOR] == 1) & (seen[..., AGENT] == 0) & (seen[..., CREATURE] == 0)
        return result.reshape(len(rows), CELLS)

    def in_reach(self, rows: NDArray[np.intp], cells: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the number of the first node that can be dug from each cell now, -1 for none; shape (agents,)."""
        nodes = self._node_cells[rows]
        apart = np.abs(_X[nodes] - _X[cells][:, None]) + np.abs(_Y[nodes] - _Y[cells][:, None])
        near = (apart <= REACH) & (self._gold[rows] > 0) & (nodes >= 0)
        result: NDArray[np.intp] = np.where(near.any(axis=1), near.argmax(axis=1), -1)
        return result

    def ways(self, rows: NDArray[np.intp], cells: NDArray[np.intp]) -> Ways:
        """Return how far it is to what one may be looking for, for planes that were made with ``ways``."""
        there = np.concatenate([cells[None], BESIDE[:, cells]]).T
        dry = (self._gold[rows] <= 0)[:, :, None]
        numbers = np.arange(self._gold.shape[1])[None, :, None]
        to_gold = np.where(dry, FAR, self._to_nodes[rows[:, None, None], numbers, there[:, None, :]])
        nearest = to_gold[:, :, 0].argmin(axis=1)
        steps = to_gold.min(axis=1)
        units = np.where(steps[:, 0] < FAR, self._gold[rows, nearest], 0)
        return Ways(steps, units, self._to_exits[rows[:, None], there])

    def open_sides(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return which of the sides N, E, S, W have an exit; shape (agents, 4)."""
        low, high = self._radius, self._radius + WIDTH - 1
        inner = slice(low, high + 1)
        exits = self._layers[rows][..., EXIT]
        sides = [exits[:, high, inner], exits[:, inner, high], exits[:, low, inner], exits[:, inner, low]]
        return np.stack([side.any(axis=1) for side in sides], axis=1)


class Ways:
    """Steps from some cells, and from the four beside each: index 0 is the cell itself, then N, E, S, W."""

    __slots__ = ("to_exit", "to_gold", "units")

    def __init__(self, to_gold: NDArray[Any], units: NDArray[Any], to_exit: NDArray[Any]) -> None:
        #: Steps to where the nearest gold can be dug, ``FAR`` if there is none; shape (agents, 5).
        self.to_gold = to_gold
        #: Units left at the node that is nearest to the cell itself; shape (agents,).
        self.units = units
        #: Steps to the nearest exit; shape (agents, 5).
        self.to_exit = to_exit


def steps_to(floor: NDArray[np.bool_], goals: Sequence[int] | NDArray[Any]) -> NDArray[np.int16]:
    """Return the steps over floor from every cell to the nearest of ``goals``, ``FAR`` from where none leads there."""
    steps = np.full((WIDTH, WIDTH), FAR, dtype=np.int32)
    starts = [cell for cell in goals if floor[Y_OF[cell], X_OF[cell]]]
    steps.reshape(-1)[starts] = 0
    found = dijkstra2d(steps, floor.astype(np.int32), 1, None, out=np.empty_like(steps)) if starts else steps
    return np.minimum(np.where(floor, found, FAR), FAR).astype(np.int16).reshape(-1)


def _longer(array: NDArray[Any], more: int, axis: int, fill: int) -> NDArray[Any]:
    shape = list(array.shape)
    shape[axis] = more
    return np.concatenate([array, np.full(shape, fill, dtype=array.dtype)], axis=axis)
