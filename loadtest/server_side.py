"""The server's side of a run as a part of its report: columns over time, means, and the bottleneck.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from loadtest.bottleneck import MeasuredLoad
from loadtest.server_reading import KINDS, LoadStep, Reading, between, steps_of

__all__ = ["measured_load", "server_side"]

CORES_DIGITS: Final = 4


def measured_load(readings: Sequence[Reading], first: float, end: float) -> MeasuredLoad | None:
    """Return what the seconds from ``first`` to ``end`` add up to; None with fewer than two readings there."""
    inside = [reading for reading in readings if first <= reading.second <= end]
    whole = between(inside[0], inside[-1]) if len(inside) > 1 else None
    return None if whole is None else MeasuredLoad.of(whole, steps_of(inside))


def server_side(readings: Sequence[Reading], load: MeasuredLoad | None, why_not: str) -> dict[str, Any]:
    """Return the part ``server_side``; its columns are empty where the server could not be asked.

    Args:
        readings: Of the whole run.
        load: Of the seconds that were measured.
        why_not: Why there are none, or not all; empty when there are.
    """
    steps = steps_of(readings)
    kinds = [kind for kind in KINDS if any(kind in step.by_kind() for step in steps)]
    queues = list(dict.fromkeys(name for step in steps for name in step.queues))
    return {
        "why_not": why_not,
        "second": [round(step.second, 1) for step in steps],
        "cores": {kind: [_cores(step.by_kind().get(kind)) for step in steps] for kind in kinds},
        "tick_mean_ms": [_ms(step.tick.mean_ms) for step in steps],
        "tick_p99_ms": [_ms(step.tick.quantile_ms(0.99)) for step in steps],
        "commit_mean_ms": [_ms(step.commit.mean_ms) for step in steps],
        "commit_p99_ms": [_ms(step.commit.quantile_ms(0.99)) for step in steps],
        "queues": {name: [step.queues.get(name) for step in steps] for name in queues},
        "processes": _processes(load),
        "missing": _missing(steps, kinds),
    }


def _processes(load: MeasuredLoad | None) -> list[dict[str, Any]]:
    """Return each process with what it used while it was measured, the busiest first."""
    if load is None:
        return []
    names = sorted(load.cores, key=lambda name: (-load.cores[name], name))
    return [{"name": name, "cores": _cores(load.cores[name]), "waited": _cores(load.waits.get(name))} for name in names]


def _missing(steps: Sequence[LoadStep], kinds: Sequence[str]) -> list[str]:
    """Return the kinds of processes whose processor time the server does not know."""
    return [kind for kind in KINDS if kind not in kinds] if steps else []


def _cores(value: float | None) -> float | None:
    return None if value is None else round(value, CORES_DIGITS)


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
