"""Where gold lies."""

from __future__ import annotations

import itertools

import numpy as np

from world.dice import Dice
from world.grid import distance, index_of
from world.hall import carve_hall
from world.ores import APART, place_gold
from world.rules import Rules


def test_spread_over_the_chunk() -> None:
    """As far apart as set while there is room."""
    for seed in range(50):
        nodes = place_gold(Dice(seed), carve_hall(), Rules())
        cells = [index_of(node.x, node.y) for node in nodes]
        assert min(distance(one, other) for one, other in itertools.combinations(cells, 2)) >= APART


def test_as_many_as_there_are_walls() -> None:
    """A ground with one wall to dig in has one node, whatever was wished; solid rock and open floor have none."""
    rules = Rules(gold_nodes_min=5, gold_nodes_max=5)
    floor = np.ones((50, 50), dtype=np.bool_)
    assert place_gold(Dice(1), floor, rules) == ()
    assert place_gold(Dice(1), ~floor, rules) == ()
    floor[20, 30] = False
    (node,) = place_gold(Dice(1), floor, rules)
    assert (node.x, node.y, node.index) == (30, 20, 0)


def test_not_beside_doors_only() -> None:
    """A wall that touches nothing but a boundary cell can't be dug: nobody can stand there."""
    floor = np.zeros((50, 50), dtype=np.bool_)
    floor[23:27, 0] = True
    assert place_gold(Dice(1), floor, Rules()) == ()
