"""Rooms, corridors and gates."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from world.dice import Dice
from world.dungeon import GATE_DEPTH, ROOM_LEAST, ROOM_MOST, _place_rooms, carve_dungeon
from world.ids import DIRECTIONS


@settings(max_examples=100, deadline=None)
@given(st.integers())
def test_rooms_stand_apart(seed: int) -> None:
    """Several rooms, of the sizes set, with walls between them and to the edge."""
    rooms = _place_rooms(Dice(seed))
    assert 3 <= len(rooms) <= 9
    for room in rooms:
        assert ROOM_LEAST <= room.width <= ROOM_MOST
        assert ROOM_LEAST <= room.height <= ROOM_MOST
        assert room.x >= 2
        assert room.y >= 2
        assert room.x + room.width <= 48
        assert room.y + room.height <= 48
    assert not any(one.too_close(other) for one, other in itertools.combinations(rooms, 2))


@given(st.integers(), st.sets(st.sampled_from(DIRECTIONS), min_size=1))
@settings(max_examples=50, deadline=None)
def test_gates_only_where_there_is_an_exit(seed: int, exits: set[str]) -> None:
    """Four cells wide and some deep on the sides asked for; solid wall on the others and round the corners."""
    floor = carve_dungeon(Dice(seed), [side for side in DIRECTIONS if side in exits])
    edges = {"N": floor[49, :], "S": floor[0, :], "E": floor[:, 49], "W": floor[:, 0]}
    for side, edge in edges.items():
        assert [place for place in range(50) if edge[place]] == ([23, 24, 25, 26] if side in exits else [])
    deep = {
        "N": floor[50 - GATE_DEPTH :, 23:27],
        "S": floor[:GATE_DEPTH, 23:27],
        "E": floor[23:27, 50 - GATE_DEPTH :],
        "W": floor[23:27, :GATE_DEPTH],
    }
    assert all(deep[side].all() for side in exits)


def test_walkers_can_pass_each_other() -> None:
    """No passage is one cell wide: every floor cell is in some two by two square of floor."""
    for seed in range(100):
        floor = carve_dungeon(Dice(seed), DIRECTIONS)
        squares = floor[:-1, :-1] & floor[1:, :-1] & floor[:-1, 1:] & floor[1:, 1:]
        wide = floor & False
        wide[:-1, :-1] |= squares
        wide[1:, :-1] |= squares
        wide[:-1, 1:] |= squares
        wide[1:, 1:] |= squares
        assert (wide == floor).all()
