"""What agents see, by configuration: shape and type, and the arrays themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.planes import FAR, LAYERS, Planes
from world.grid import LAST, WIDTH, X_OF, Y_OF

_X: Final = np.array(X_OF, dtype=np.float32) / LAST
_Y: Final = np.array(Y_OF, dtype=np.float32) / LAST
#: Steps and units beyond which a feature is 1.
STEPS_SEEN: Final = 100
UNITS_SEEN: Final = 20

ACTIVITIES: Final = ("idle", "moving", "harvesting")

#: What the numbers of ``features`` are, in order.  All are float32 within 0..1.
FEATURES: Final = (
    *("x", "y"),
    *(f"is {activity}" for activity in ACTIVITIES),
    *(f"can step {side}" for side in "NESW"),
    *("can dig", "units at the nearest gold", "steps to it"),
    *(f"{side} is nearer to it" for side in "NESW"),
    *(f"{side} is nearer to an exit" for side in "NESW"),
    *(f"has an exit {side}" for side in "NESW"),
)


@dataclass(frozen=True, slots=True)
class Sight:
    """What observations are like: ``least`` .. ``most``, in arrays of ``shape`` for one agent."""

    shape: tuple[int, ...]
    dtype: type[Any]
    least: int
    most: int


def sight_of(config: EnvConfig) -> Sight:
    """Return what a configuration's observations are like."""
    if config.observation == "features":
        return Sight((len(FEATURES),), np.float32, 0, 1)
    if config.observation == "chunk":
        return Sight((WIDTH, WIDTH, len(LAYERS) + 1), np.uint8, 0, 255)
    wide = 2 * config.radius + 1
    return Sight((wide, wide, len(LAYERS)), np.uint8, 0, 255)


def observe(
    config: EnvConfig, planes: Planes, rows: NDArray[np.intp], cells: NDArray[np.intp], activities: NDArray[np.intp]
) -> NDArray[Any]:
    """Return what agents on these cells see, one behind the other.

    Args:
        config: Says what.
        planes: The chunks.
        rows: Each agent's chunk.
        cells: Each agent's cell.
        activities: What each is doing, as an index of ``ACTIVITIES``.
    """
    if config.observation == "window":
        return planes.windows(rows, cells)
    if config.observation == "chunk":
        return planes.chunks(rows, cells)
    return _features(planes, rows, cells, activities)


def _features(
    planes: Planes, rows: NDArray[np.intp], cells: NDArray[np.intp], activities: NDArray[np.intp]
) -> NDArray[np.float32]:
    ways = planes.ways(rows, cells)
    columns = [
        _X[cells][:, None],
        _Y[cells][:, None],
        activities[:, None] == np.arange(len(ACTIVITIES)),
        planes.free_beside(rows, cells),
        planes.in_reach(rows, cells)[:, None] >= 0,
        np.minimum(ways.units, UNITS_SEEN)[:, None] / UNITS_SEEN,
        np.minimum(ways.to_gold[:, :1], STEPS_SEEN) / STEPS_SEEN,
        (ways.to_gold[:, 1:] < ways.to_gold[:, :1]) & (ways.to_gold[:, 1:] < FAR),
        ways.to_exit[:, 1:] < ways.to_exit[:, :1],
        planes.open_sides(rows),
    ]
    return np.concatenate([np.asarray(column, dtype=np.float32) for column in columns], axis=1)
