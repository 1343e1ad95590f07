"""The nodes of the cluster as an operator sees them: finding one by what was typed, and whether one may be drained.

Pure: what it is about stands in the coordinator's status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from config.errors import OperatorError

__all__ = ["CantDrain", "ClusterNode", "find_node", "fits", "nodes_in", "refuse_drain", "short"]

SHORT_CHARS: Final = 8
ADD_NODE: Final = "ray start --address=HEAD:6379"


class CantDrain(OperatorError):
    """A node that can't be drained; the text says why, and what to do."""

    reason = "cant_drain"


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A living node of the Ray cluster."""

    id: str
    address: str
    name: str
    #: CPUs that it has, and those that nobody has asked for.
    cpus: float
    cpus_free: float
    #: The node of Ray's own head, which goes only with the cluster.
    head: bool = False
    drained: bool = False
    #: Names of our actors on it, and what they ask for.
    actors: Mapping[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return plain values for status; ``node`` is the id as it is shown."""
        return {"node": short(self.id), "alive": True, **asdict(self)}

    def __str__(self) -> str:
        return f"{short(self.id)} ({self.name}, {self.address})"


def short(node_id: str) -> str:
    """Return a node's id as it is shown and typed."""
    return node_id[:SHORT_CHARS]


def nodes_in(status: Mapping[str, Any]) -> list[ClusterNode]:
    """Return the living nodes in the coordinator's status.

    Raises:
        CantDrain: the coordinator is of a release that knows nothing of draining.
    """
    alive = [node for node in status["nodes"] if node["alive"]]
    if not all("drained" in node for node in alive):
        raise CantDrain(
            "the coordinator is of a release that can't drain: first start this release's `chunkcrawl up --address` "
            '(docs/operating.md, "Rolling upgrade")'
        )
    names = ClusterNode.__dataclass_fields__
    return [ClusterNode(**{name: value for name, value in node.items() if name in names}) for node in alive]


def find_node(nodes: Sequence[ClusterNode], word: str) -> ClusterNode:
    """Return the node whose id begins with ``word``, or whose name or address it is.

    Raises:
        CantDrain: there is none, or more than one.
    """
    word = word.strip().lower()
    found = [one for one in nodes if word and (one.id.startswith(word) or word in (one.name.lower(), one.address))]
    if len(found) == 1:
        return found[0]
    which = "no node" if not found else "more than one node"
    raise CantDrain(f"{which} is called {word!r}; there are {', '.join(map(str, nodes)) or 'none'}")


def hosts(nodes: Iterable[ClusterNode], asks: Iterable[float]) -> list[ClusterNode]:
    """Return the nodes that may run shards and gateways, which ask for so many CPUs each: not those without CPUs."""
    least = min(asks, default=0.0)
    return [node for node in nodes if node.cpus >= least]


def fits(asks: Iterable[float], free: Iterable[float]) -> bool:
    """Return whether actors that ask for so many CPUs each fit into so many free ones on each of some nodes."""
    left = sorted(free, reverse=True)
    for ask in sorted(asks, reverse=True):
        place = next((number for number, room in enumerate(left) if room >= ask - 1e-6), None)
        if place is None:
            return False
        left[place] -= ask
    return True


def refuse_drain(node: ClusterNode, nodes: Sequence[ClusterNode]) -> list[ClusterNode]:
    """Return the nodes that can take what runs on ``node``.

    Raises:
        CantDrain: there is none, or they have too little room.
    """
    asks = list(node.actors.values())
    others = [one for one in hosts(nodes, [ask for ask in asks if ask]) if one.id != node.id and not one.drained]
    if not others:
        drained = [str(one) for one in nodes if one.drained and one.id != node.id]
        remedy = f", or `chunkcrawl undrain` one of {', '.join(drained)}" if drained else ""
        raise CantDrain(f"{node} is the last node that the world can run on: add another first (`{ADD_NODE}`){remedy}")
    if not fits(asks, [one.cpus_free for one in others]):
        free = sum(one.cpus_free for one in others)
        raise CantDrain(
            f"what runs on {node} asks for {sum(asks):g} CPUs, and the others have {free:g} free: add a node first "
            f"(`{ADD_NODE}`), or have fewer shards (`chunkcrawl scale`)"
        )
    return others
