"""The hall of ``chunk-0``: round, in the middle, with a straight corridor to each edge.

Source: docs/protocol.md, "What the world shows".
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from world.grid import CENTRE, GATE_FIRST, GATE_LAST, WIDTH

HALL_RADIUS: Final = 12


def carve_hall() -> NDArray[np.bool_]:
    """Return the floor of the hall, shape (50, 50), indexed ``[y, x]``."""
    y, x = np.mgrid[0:WIDTH, 0:WIDTH]
    floor: NDArray[np.bool_] = (x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 <= HALL_RADIUS**2
    floor[GATE_FIRST : GATE_LAST + 1, :] = True
    floor[:, GATE_FIRST : GATE_LAST + 1] = True
    return floor
