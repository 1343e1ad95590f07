"""How many gateways there should be: at least one per node, more by connections and CPU, within bounds.

Pure: each pass of the coordinator hands in what the gateways say of themselves.  Growing is quick (a few passes over
the mark), shrinking slow, and one at a time, so that the number does not swing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Marks per gateway.  A core carries more than this (docs/performance.md); the rest is room for a sibling that dies.
CONNECTIONS_MARK: Final = 2_000
CPU_MARK: Final = 0.8
#: A gateway is taken away only if those that stay would be below this share of the marks.
SHRINK_BELOW: Final = 0.5
GROW_AFTER_PASSES: Final = 3
SHRINK_AFTER_PASSES: Final = 60


@dataclass(frozen=True, slots=True)
class GatewayLoad:
    """What one gateway carries: open connections, and its share of one core (1.0: all of it)."""

    connections: int
    cpu: float


class GatewayPolicy:
    """Remembers for how many passes the load has been too high or low.

    Args:
        least: never fewer, whatever the load.
        most: never more, whatever the load or the number of nodes.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = max(least, most)
        self._high = 0
        self._low = 0

    def wanted(self, present: int, nodes: int, loads: Sequence[GatewayLoad]) -> int:
        """Return the number to have now, at most one away from ``present`` unless ``present`` is below the least.

        Args:
            present: gateways that there are.
            nodes: living nodes of the cluster.
            loads: of those gateways that answered; while some do not answer nothing changes by load.
        """
        floor = min(self._most, max(self._least, nodes))
        if present < floor:
            return floor
        if len(loads) < present:
            self._high = self._low = 0
            return present
        self._high = self._high + 1 if self._over(loads, present, 1.0) else 0
        spare = present > floor and not self._over(loads, present - 1, SHRINK_BELOW)
        self._low = self._low + 1 if spare else 0
        if self._high >= GROW_AFTER_PASSES and present < self._most:
            self._high = 0
            return present + 1
        if self._low >= SHRINK_AFTER_PASSES:
            self._low = 0
            return present - 1
        return present

    @staticmethod
    def _over(loads: Sequence[GatewayLoad], gateways: int, share: float) -> bool:
        """Return whether this load, spread over ``gateways`` gateways, is above ``share`` of what one should carry."""
        connections = sum(load.connections for load in loads)
        cpu = sum(load.cpu for load in loads)
        return connections > CONNECTIONS_MARK * share * gateways or cpu > CPU_MARK * share * gateways
