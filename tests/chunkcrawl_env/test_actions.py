"""Numbers of actions, and the commands that they are."""

from __future__ import annotations

import pytest

from chunkcrawl_env.actions import ActionCodes
from chunkcrawl_env.config import EnvConfig
from world.grid import index_of


def test_steps() -> None:
    codes = ActionCodes(EnvConfig(sayings=("hello", "bye")))
    assert (codes.wait, codes.dig, codes.count) == (0, 5, 8)
    cell = index_of(10, 20)
    places = [codes.command(action, cell) for action in (1, 2, 3, 4)]
    assert [(move["x"], move["y"]) for move in places if move] == [(10, 21), (11, 20), (10, 19), (9, 20)]
    assert codes.command(7, cell) == {"type": "say", "text": "bye"}
    assert codes.command(codes.wait, cell) is None
    assert codes.command(codes.dig, cell) is None


def test_a_step_over_the_edge_is_a_step_out() -> None:
    """Told to go to the boundary cell on which it stands, an agent leaves."""
    codes = ActionCodes(EnvConfig())
    assert codes.command(4, index_of(0, 24)) == {"type": "move_to", "x": 0, "y": 24}


@pytest.mark.parametrize(("action", "place"), [(0, (0, 0)), (1234, (34, 24)), (2499, (49, 49))])
def test_cells(action: int, place: tuple[int, int]) -> None:
    codes = ActionCodes(EnvConfig(actions="cells", sayings=("hello",)))
    assert (codes.wait, codes.dig, codes.count) == (2500, 2501, 2503)
    assert codes.command(action, 77) == {"type": "move_to", "x": place[0], "y": place[1]}
    assert codes.command(2502, 77) == {"type": "say", "text": "hello"}
    assert codes.command(codes.wait, 77) is None
