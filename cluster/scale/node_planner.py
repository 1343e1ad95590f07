"""Which node the others can do without, so that whoever has added it takes it away.  Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from cluster.drain.nodes import ClusterNode, fits

#: For how long the others must have had room.
SPARE_FOR_S: Final = 60.0


class NodePlanner:
    """Remembers since when each node has been one that can go.

    Args:
        least: so many nodes stay.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._spare_since: dict[str, float] = {}

    def to_empty(
        self, nodes: Sequence[ClusterNode], avoid: Collection[str], now: float, *, settled: bool
    ) -> ClusterNode | None:
        """Return a node that should be emptied now; None: none.

        Args:
            nodes: those that may run shards and gateways.
            avoid: ids of those that are drained.
            settled: every actor is where it is to be, and answers.
        """
        used = [node for node in nodes if node.id not in avoid]
        if not settled or len(used) <= self._least:
            self._spare_since = {}
            return None
        spare = [node for node in used if not node.head and self._others_take(node, used)]
        self._spare_since = {node.id: self._spare_since.get(node.id, now) for node in spare}
        ripe = [node for node in spare if now - self._spare_since[node.id] >= SPARE_FOR_S]
        return min(ripe, key=lambda node: (sum(node.actors.values()), node.id), default=None)

    @staticmethod
    def _others_take(node: ClusterNode, used: Sequence[ClusterNode]) -> bool:
        return fits(node.actors.values(), [one.cpus_free for one in used if one.id != node.id])
