"""The hall of chunk-0."""

from __future__ import annotations

import pytest

from world.hall import carve_hall


@pytest.mark.parametrize(
    ("x", "y", "floor"),
    [
        (25, 25, True),
        (37, 25, True),
        (13, 25, True),
        (25, 37, True),
        (33, 33, True),
        (34, 33, False),
        (33, 34, False),
        (0, 22, False),
        (0, 23, True),
        (0, 26, True),
        (0, 27, False),
        (49, 23, True),
        (26, 49, True),
        (22, 49, False),
        (23, 0, True),
        (12, 27, False),
        (0, 0, False),
    ],
)
def test_places(x: int, y: int, floor: bool) -> None:
    """The disc's rim (8, 8 is 128; 9, 8 is 145 > 144), the corridors' edges, the corners."""
    assert bool(carve_hall()[y, x]) == floor
