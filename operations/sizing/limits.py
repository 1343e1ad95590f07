"""Which part of a world is full first, and at how many agents.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from operations.sizing.coefficients import Coefficients
from operations.sizing.model import Demand, Estimate, estimate

__all__ = ["SINGLE", "PartLimit", "full", "limits"]

#: Parts of which there is one (or one for each node of Valkey), with what of them is full.
SINGLE: Final = {
    "valkey": "one Valkey's thread",
    "archiver": "the archiver",
    "postgres": "one PostgreSQL's machine",
    "coordinator": "the coordinator",
    "ray": "one Ray cluster (by actors)",
}
#: No part is looked at beyond so many agents.
AGENTS_MOST: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class PartLimit:
    """The most agents that one part can have, with as many spectators and commands each as in the demand."""

    part: str
    agents: int


def limits(demand: Demand, known: Coefficients) -> list[PartLimit]:
    """Return the limits of all single parts, the lowest first; what ``AGENTS_MOST`` do not fill is left out."""
    found = [PartLimit(part, _most(part, demand, known)) for part in SINGLE]
    return sorted((limit for limit in found if limit.agents < AGENTS_MOST), key=lambda limit: limit.agents)


def full(found: Estimate) -> list[str]:
    """Return the single parts that can't do what is asked."""
    return [part for part in SINGLE if found.parts[part].fullness > 1]


def _most(part: str, demand: Demand, known: Coefficients) -> int:
    def is_full(agents: int) -> bool:
        spectators = round(agents * demand.spectators / max(1, demand.agents))
        asked = replace(demand, agents=agents, spectators=spectators)
        return estimate(asked, known).parts[part].fullness > 1

    least, most = 0, 1
    while most < AGENTS_MOST and not is_full(most):
        least, most = most, most * 2
    if most >= AGENTS_MOST:
        return AGENTS_MOST
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if is_full(middle) else (middle, most)
    return least
