"""What a simulated agent does next, by scenario.  Pure: what it knows and a seeded generator in, an action out.

Targets are picked without looking for a way: a search costs 1.5 ms, fifty times the rest of a command, and every floor
cell of a chunk can be reached but for those who stand in between.  What the server then refuses belongs to the load.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from chunkcrawl.bots.rules import Action, Harvest, Move, Rest, Say
from chunkcrawl.view.paths import STEPS, Point, exit_cells, is_boundary, is_floor, manhattan
from chunkcrawl.view.world_view import GoldNode, WorldView
from loadtest.plan import Scenario

__all__ = ["BEHAVIOURS", "Behaviour", "stroll"]

Behaviour: TypeAlias = Callable[[WorldView, random.Random], Action]

NEAR: Final = 8
TRIES: Final = 40
CROWD_CELLS: Final = 60
MIDDLE: Final = (25, 25)
CHAT_SHARE: Final = 0.03
CROSS_SHARE: Final = 0.1
NOWHERE: Final = Rest(0.5)


def wander(view: WorldView, rng: random.Random) -> Action:
    """Walk a few cells; now and then say something or change chunks."""
    dice = rng.random()
    if dice < CHAT_SHARE:
        return Say(f"tick {view.tick}")
    if dice < CHAT_SHARE + CROSS_SHARE:
        return cross(view, rng)
    return stroll(view, rng)


def stroll(view: WorldView, rng: random.Random) -> Action:
    """Walk a few cells."""
    if view.position is None:
        return NOWHERE
    (x0, y0), taken = view.position, _taken(view)
    for _ in range(TRIES):
        x, y = x0 + rng.randint(-NEAR, NEAR), y0 + rng.randint(-NEAR, NEAR)
        if is_floor(view.grid, x, y) and not is_boundary(view.grid, x, y) and (x, y) not in taken:
            return Move(x, y)
    return NOWHERE


def crowd(view: WorldView, rng: random.Random) -> Action:
    """Walk to the middle of the chunk, where everybody is in everybody's way."""
    taken = _taken(view)
    free = [cell for cell in _middle(_terrain(view)) if cell not in taken]
    return Move(*rng.choice(free)) if free else stroll(view, rng)


def cross(view: WorldView, rng: random.Random) -> Action:
    """Leave the chunk, on any side."""
    taken = _taken(view)
    cells = [cell for cell in _exits(_terrain(view)) if cell not in taken]
    return Move(*rng.choice(cells)) if cells else stroll(view, rng)


def harvest(view: WorldView, rng: random.Random) -> Action:
    """Walk to the nearest gold and take it; where there is none, to another chunk."""
    place = view.position
    if place is None:
        return NOWHERE
    taken = _taken(view)
    nodes = sorted(
        (node for node in view.gold.values() if node.available),
        key=lambda node: (manhattan((node.x, node.y), place), node.node_id),
    )
    for node in nodes:
        if manhattan((node.x, node.y), place) <= 1:
            return Harvest(node.node_id)
        cells = [cell for cell in _beside(view, node) if cell not in taken]
        if cells:
            return Move(*min(cells, key=lambda cell: (manhattan(cell, place), cell)))
    return cross(view, rng) if not nodes else stroll(view, rng)


BEHAVIOURS: Final[dict[Scenario, Behaviour]] = {
    "wander": wander,
    "crowd": crowd,
    "cross": cross,
    "harvest": harvest,
    "reconnect": wander,
    "slow-reader": wander,
}


def _taken(view: WorldView) -> set[Point]:
    """Return the cells that somebody stands on, the agent's own among them: walking to where one is, is no walk."""
    cells = {(view.x, view.y) for view in view.agents.values()}
    return cells | {(npc.x, npc.y) for npc in view.npcs.values()}


def _beside(view: WorldView, node: GoldNode) -> list[Point]:
    around = [(node.x + dx, node.y + dy) for dx, dy in STEPS]
    return [cell for cell in around if is_floor(view.grid, *cell) and not is_boundary(view.grid, *cell)]


Terrain: TypeAlias = tuple[bytes, ...]


def _terrain(view: WorldView) -> Terrain:
    """Return the grid in a form for looking cells up; empty for one that no server of the contract sends."""
    try:
        return tuple(map(bytes, view.grid))
    except ValueError:
        return ()


@lru_cache(maxsize=256)
def _exits(terrain: Terrain) -> tuple[Point, ...]:
    return tuple(cell for cells in exit_cells(terrain).values() for cell in cells) if terrain else ()


@lru_cache(maxsize=256)
def _middle(terrain: Terrain) -> tuple[Point, ...]:
    floor = [
        (x, y)
        for y, row in enumerate(terrain)
        for x, kind in enumerate(row)
        if kind == 0 and not is_boundary(terrain, x, y)
    ]
    return tuple(sorted(floor, key=lambda cell: (manhattan(cell, MIDDLE), cell))[:CROWD_CELLS])
