"""A chunk's terrain: what never changes about it, made from the world's seed and the chunk's number.

The same arguments give the same bytes in every process; see docs/decisions/0003-terrain.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from world.dice import Dice
from world.dungeon import carve_dungeon
from world.grid import CELLS, WIDTH
from world.hall import carve_hall
from world.ids import DIRECTIONS, Direction
from world.ores import NodeSpec, place_gold
from world.rules import Rules

#: Version of the generator, part of every key: a change of the algorithm is a new world, never a silent one.
GENERATOR: Final = 1

LEAST_EXITS, MOST_EXITS = 2, 4


@dataclass(frozen=True)
class Terrain:
    """The fixed part of a chunk."""

    number: int
    #: The side one first came in by.
    entry: Direction | None
    #: 50 strings of 50, ``#`` wall and ``.`` floor; row 0 is y = 0, the south.
    tiles: tuple[str, ...]
    #: Read-only, shape (50, 50), indexed ``[y, x]``.
    floor: NDArray[np.bool_] = field(compare=False, repr=False)
    #: The sides that have an exit, in the order N, E, S, W.
    exits: tuple[Direction, ...]
    nodes: tuple[NodeSpec, ...]


@lru_cache(maxsize=256)
def make_terrain(world_seed: int, number: int, entry: Direction | None, rules: Rules) -> Terrain:
    """Return the terrain of a chunk; number 0 is the fixed hall, the same in every world.

    Args:
        world_seed: Any whole number.
        number: The chunk's number, 0 or above.
        entry: The side one comes in by; it will be an exit.  None: no side is required.
        rules: The counts and sizes of the gold nodes.

    Costs some tenths of a millisecond; results are kept for the chunks last asked for.
    """
    if number == 0:
        dice = Dice("hall", GENERATOR)
        floor, exits = carve_hall(), DIRECTIONS
    else:
        dice = Dice("terrain", GENERATOR, world_seed, number)
        exits = _choose_exits(dice, entry)
        floor = carve_dungeon(dice, exits)
    floor.setflags(write=False)
    rows = np.where(floor, b".", b"#").tobytes().decode()
    return Terrain(
        number=number,
        entry=entry,
        tiles=tuple(rows[first : first + WIDTH] for first in range(0, CELLS, WIDTH)),
        floor=floor,
        exits=exits,
        nodes=place_gold(Dice("gold", GENERATOR, dice.next64()), floor, rules),
    )


def _choose_exits(dice: Dice, entry: Direction | None) -> tuple[Direction, ...]:
    """Return 2..4 sides, ``entry`` among them; draws the same numbers whatever ``entry`` is."""
    count = dice.between(LEAST_EXITS, MOST_EXITS)
    order = dice.shuffled(DIRECTIONS)
    if entry is not None:
        order.remove(entry)
        order.insert(0, entry)
    chosen = order[:count]
    return tuple(side for side in DIRECTIONS if side in chosen)
