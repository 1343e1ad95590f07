"""Where the gold lies: on inner wall cells that touch a floor cell on which one can stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from world.dice import Dice
from world.grid import X_OF, Y_OF, distance
from world.rules import Rules

#: Least Manhattan distance between two nodes, as long as there is room.
APART: Final = 6
TRIES: Final = 30


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A resource node as generated."""

    #: Its number in the chunk, from 0; part of its id.
    index: int
    x: int
    y: int
    max_remaining: int
    type: str = "gold"


def place_gold(dice: Dice, floor: NDArray[np.bool_], rules: Rules) -> tuple[NodeSpec, ...]:
    """Return nodes for a floor of shape (50, 50), ``[y, x]``, of which every cell is reachable."""
    inner = np.zeros_like(floor)
    inner[1:-1, 1:-1] = floor[1:-1, 1:-1]
    beside = np.zeros_like(floor)
    beside[1:-1, 1:-1] = inner[:-2, 1:-1] | inner[2:, 1:-1] | inner[1:-1, :-2] | inner[1:-1, 2:]
    candidates = [int(cell) for cell in np.flatnonzero(beside & ~floor)]
    chosen: list[int] = []
    for _ in range(min(dice.between(rules.gold_nodes_min, rules.gold_nodes_max), len(candidates))):
        for _ in range(TRIES):
            cell = dice.pick(candidates)
            if all(distance(cell, other) >= APART for other in chosen):
                break
        chosen.append(cell)
        candidates.remove(cell)
    return tuple(
        NodeSpec(number, X_OF[cell], Y_OF[cell], dice.between(rules.gold_per_node_min, rules.gold_per_node_max))
        for number, cell in enumerate(chosen)
    )
