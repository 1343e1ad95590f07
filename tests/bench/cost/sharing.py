"""What a command costs where commands share work: the more come in a second, the less each costs.  Pure.

``cores = idle + lanes * shared * sqrt(commands / lanes) + commands * command + messages * message``, none of the four
below nothing.  A lane is what commands share in: a gateway, a shard's commits.  `fit` has the plain costs of a command
and a message, which say more about one size; this says more about others.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from operations.sizing.coefficients import RoleCost
from tests.bench.cost.fit import Point

__all__ = ["fit_shared"]

#: A run counts by its deviation as a share of what it used, but one that used little not more than this times.
WEIGHT_MOST = 4.0
COLUMNS = 4


def fit_shared(points: Sequence[Point], lanes: int, least_message_us: float = 0.0) -> RoleCost:
    """The costs that fit best: of all choices of columns that give no negative cost, the one with the least deviation.

    Args:
        least_message_us: what a message is known to cost at least.

    Raises:
        ValueError: there is no point.
    """
    if not points:
        raise ValueError("nothing was measured")
    shape = np.array(
        [(1.0, lanes * np.sqrt(one.commands_per_s / lanes), one.commands_per_s, one.messages_per_s) for one in points]
    )
    used = np.array([one.cores for one in points])
    cores = used - shape[:, COLUMNS - 1] * least_message_us / 1e6
    weights = 1 / np.maximum(used, max(float(used.max()), 1e-9) / WEIGHT_MOST)
    best, least = np.zeros(COLUMNS), float("inf")
    for count in range(1, COLUMNS + 1):
        for chosen in itertools.combinations(range(COLUMNS), count):
            columns = list(chosen)
            costs = np.zeros(COLUMNS)
            costs[columns] = np.linalg.lstsq(shape[:, columns] * weights[:, None], cores * weights, rcond=None)[0]
            deviation = float((((shape @ costs - cores) * weights) ** 2).sum())
            if (costs >= 0).all() and deviation < least:
                best, least = costs, deviation
    idle, shared, command, message = (float(cost) for cost in best)
    upto = max(one.commands_per_s for one in points) / lanes
    shared_us, command_us, message_us = (round(cost * 1e6, 2) for cost in (shared, command, message))
    return RoleCost(round(idle, 4), shared_us, command_us, round(message_us + least_message_us, 2), round(upto, 1))
