"""Which shard should go to another node, so that one that came back or was added carries its part.  Pure.

Ray places actors when it makes them and moves none.  So a node that was drained and is taken back stays empty, however
full the others are.  A shard goes when the node that it leaves is fuller than the other will be with it, by what shards
ask of each one's CPUs; so each move makes the fullest node less full, and it ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cluster.drain.nodes import ClusterNode

#: For how long a node must have been emptier, and how long nothing is decided after a move.
UNEVEN_FOR_S: Final = 60.0
#: How long a shard may take until it is empty; then it stays where it is, and another is tried later.
GIVE_UP_S: Final = 300.0

SHARD: Final = "shard-"


@dataclass(frozen=True, slots=True)
class NodeMove:
    """A shard that is to be made anew on another node, once it is empty."""

    shard: int
    node_id: str
    since: float


class NodeEvener:
    """Remembers since when the nodes are uneven, and which shard is on its way: one at a time."""

    def __init__(self) -> None:
        self.move: NodeMove | None = None
        self._uneven_since: float | None = None

    def look(
        self,
        nodes: Sequence[ClusterNode],
        avoid: Collection[str],
        loads: Mapping[int, float],
        now: float,
        *,
        settled: bool,
    ) -> NodeMove | None:
        """Return the shard that is to be emptied now, and where it goes then; None: none.

        Args:
            nodes: those that may run shards.
            avoid: ids of those that are drained.
            loads: what each shard that may go carries; the least goes.
            settled: every actor is where it is to be and answers, but for the shard that is on its way.
        """
        used = [node for node in nodes if node.id not in avoid]
        if self.move is not None:
            there = self.move.node_id in {node.id for node in used} and self.move.shard in loads
            if now - self.move.since > GIVE_UP_S or not (settled and there):
                self.done()
            return self.move
        found = _uneven(used, loads) if settled else None
        if found is None:
            self._uneven_since = None
            return None
        self._uneven_since = now if self._uneven_since is None else self._uneven_since
        if now - self._uneven_since >= UNEVEN_FOR_S:
            self.move = NodeMove(*found, now)
        return self.move

    def done(self) -> None:
        """Note that the shard has been made anew, or that it stays."""
        self.move = None
        self._uneven_since = None


def _uneven(used: Sequence[ClusterNode], loads: Mapping[int, float]) -> tuple[int, str] | None:
    """Return a shard, and the node that it should go to."""
    shards = {node.id: _shards(node) for node in used}
    givers = [node for node in used if shards[node.id].keys() & loads.keys()]
    if not givers or len(loads) == 1:  # nobody could take what a single one has
        return None
    giver = max(givers, key=lambda node: (_fullness(node, len(shards[node.id])), node.id))
    shard = min(shards[giver.id].keys() & loads.keys(), key=lambda number: (loads[number], number))
    ask = shards[giver.id][shard]
    takers = [node for node in used if node.id != giver.id and node.cpus_free >= ask]
    if not takers:
        return None
    taker = min(takers, key=lambda node: (_fullness(node, len(shards[node.id]) + 1), node.id))
    full = _fullness(giver, len(shards[giver.id]))
    return (shard, taker.id) if _fullness(taker, len(shards[taker.id]) + 1) < full else None


def _shards(node: ClusterNode) -> dict[int, float]:
    return {int(name.removeprefix(SHARD)): ask for name, ask in node.actors.items() if name.startswith(SHARD)}


def _fullness(node: ClusterNode, shards: int) -> float:
    return shards / max(node.cpus, 1.0)
