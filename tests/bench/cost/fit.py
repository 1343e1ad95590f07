"""What one command and one message cost: least squares over runs with few and many of both.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Cost", "Point", "fit"]

RUNS_LEAST = 3


@dataclass(frozen=True, slots=True)
class Point:
    """What a role used while so many commands were accepted and so many deltas delivered a second."""

    commands_per_s: float
    messages_per_s: float
    cores: float


@dataclass(frozen=True, slots=True)
class Cost:
    """``cores = idle + commands_per_s * command_us / 1e6 + messages_per_s * message_us / 1e6``."""

    idle_cores: float
    command_us: float
    message_us: float
    #: The largest deviation of the fitted cores from the measured ones, as a share of the largest measured.
    worst_error: float


def fit(points: Sequence[Point]) -> Cost | None:
    """The coefficients that fit best; None where the runs are too few or too alike to tell the two apart."""
    shape = np.array([(1.0, point.commands_per_s, point.messages_per_s) for point in points])
    cores = np.array([point.cores for point in points])
    if len(points) < RUNS_LEAST or np.linalg.matrix_rank(shape) < RUNS_LEAST:
        return None
    idle, command, message = np.linalg.lstsq(shape, cores, rcond=None)[0]
    error = float(np.abs(shape @ (idle, command, message) - cores).max() / max(cores.max(), 1e-9))
    return Cost(float(idle), float(command) * 1e6, float(message) * 1e6, error)
