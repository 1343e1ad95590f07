"""Rooms joined by L-shaped corridors, with gates in the middle of the sides that are exits.

Everything is connected by construction: each room is joined to one that is connected already, and each
gate to a room.  Corridors are two cells wide, so two walkers can pass each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from world.dice import Dice
from world.grid import GATE_FIRST, GATE_LAST, WIDTH
from world.ids import Direction

#: Width and height of a room, in cells.
ROOM_LEAST, ROOM_MOST = 6, 12
ROOMS_WANTED: Final = (6, 9)
ROOM_TRIES: Final = 80
#: Walls between a room and the chunk's edge.
EDGE: Final = 2
#: Walls between two rooms.
GAP: Final = 2
#: Corridors beyond those that connectivity needs.
LOOPS: Final = 2
CORRIDOR: Final = 2
#: Length of the four cells wide way in at an exit.
GATE_DEPTH: Final = 5
GATE_MIDDLE: Final = 24

Floor = NDArray[np.bool_]


@dataclass(frozen=True)
class Room:
    """A rectangle of floor; x and y are its south-west cell."""

    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> tuple[int, int]:
        """The south-west one of its middle cells."""
        return self.x + (self.width - 1) // 2, self.y + (self.height - 1) // 2

    def too_close(self, other: Room) -> bool:
        """Return whether less than ``GAP`` cells of wall would stand between the two."""
        return (
            self.x < other.x + other.width + GAP
            and other.x < self.x + self.width + GAP
            and self.y < other.y + other.height + GAP
            and other.y < self.y + self.height + GAP
        )


def carve_dungeon(dice: Dice, exits: Iterable[Direction]) -> Floor:
    """Return the floor of a dungeon with these exits, shape (50, 50), indexed ``[y, x]``."""
    floor = np.zeros((WIDTH, WIDTH), dtype=np.bool_)
    rooms = _place_rooms(dice)
    for room in rooms:
        floor[room.y : room.y + room.height, room.x : room.x + room.width] = True
    for number, room in enumerate(rooms[1:], start=1):
        _carve_corridor(floor, room.middle, _nearest(rooms[:number], room.middle).middle, dice.below(2) == 0)
    for _ in range(LOOPS):
        _carve_corridor(floor, dice.pick(rooms).middle, dice.pick(rooms).middle, dice.below(2) == 0)
    for side in exits:
        _carve_gate(floor, side, rooms)
    return floor


def _place_rooms(dice: Dice) -> list[Room]:
    wanted = dice.between(*ROOMS_WANTED)
    rooms: list[Room] = []
    for _ in range(ROOM_TRIES):
        width, height = dice.between(ROOM_LEAST, ROOM_MOST), dice.between(ROOM_LEAST, ROOM_MOST)
        room = Room(dice.between(EDGE, WIDTH - EDGE - width), dice.between(EDGE, WIDTH - EDGE - height), width, height)
        if not any(room.too_close(other) for other in rooms):
            rooms.append(room)
            if len(rooms) == wanted:
                break
    return rooms


def _nearest(rooms: list[Room], cell: tuple[int, int]) -> Room:
    """Return the room whose middle is nearest; of equals the one placed first."""
    return min(rooms, key=lambda room: abs(room.middle[0] - cell[0]) + abs(room.middle[1] - cell[1]))


def _carve_corridor(floor: Floor, start: tuple[int, int], end: tuple[int, int], along_x_first: bool) -> None:
    """Carve an L of ``CORRIDOR`` width from cell to cell, both included, each an (x, y) within 1..47."""
    corner = (end[0], start[1]) if along_x_first else (start[0], end[1])
    for one, other in ((start, corner), (corner, end)):
        west, east = sorted((one[0], other[0]))
        south, north = sorted((one[1], other[1]))
        floor[south : north + CORRIDOR, west : east + CORRIDOR] = True


def _carve_gate(floor: Floor, side: Direction, rooms: list[Room]) -> None:
    """Carve the way in at an exit, and a corridor from its inner end to the nearest room."""
    deep = slice(0, GATE_DEPTH) if side in ("S", "W") else slice(WIDTH - GATE_DEPTH, WIDTH)
    inner = GATE_DEPTH - 1 if side in ("S", "W") else WIDTH - GATE_DEPTH
    gate = slice(GATE_FIRST, GATE_LAST + 1)
    upright = side in ("N", "S")
    floor[(deep, gate) if upright else (gate, deep)] = True
    start = (GATE_MIDDLE, inner) if upright else (inner, GATE_MIDDLE)
    _carve_corridor(floor, start, _nearest(rooms, start).middle, along_x_first=not upright)
