"""How shards and gateways reach a shard, and the cluster as a whole: ports, so that neither knows Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cluster.messages import (
    CellAnswer,
    CellRelease,
    CellRequest,
    JoinAnswer,
    JoinRequest,
    ShardCommand,
    ShardDecision,
    ShardHealth,
)
from config.errors import TryAgain


class ShardUnavailable(TryAgain):
    """The shard gave no answer in time; whether it ran the call is not known."""

    reason = "shard_unavailable"


class WorldReloaded(TryAgain):
    """The shard has gone back to its last commit; what was asked had no effect and may be asked again."""

    reason = "world_reloaded"


class Shard(Protocol):
    """What gateways, other shards and the coordinator ask of a shard.  Calls of one caller may overtake each other.

    Each of them raises:
        ShardUnavailable: no answer in time, or the shard died meanwhile.
        WorldReloaded: see there.
    """

    async def submit(self, commands: Sequence[ShardCommand]) -> list[ShardDecision]:
        """Decide commands in the order given; answers when the decisions are in the journal."""
        ...

    async def join(self, joins: Sequence[JoinRequest]) -> list[JoinAnswer]:
        """Seat agents whose records already name their chunks; an agent that is here stays as it is.

        Each is answered on its own; answers when the seats are in the journal.
        """
        ...

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        """Reserve cells, each answered on its own; asking again with the same handoff renews its reservation."""
        ...

    async def release(self, releases: Sequence[CellRelease]) -> None:
        """Free reserved cells, unless an arrival is in the inbox after all."""
        ...

    async def refresh(self, chunk_ids: Sequence[str]) -> None:
        """Compare the links of chunks in memory with Redis: a neighbour was collected or made elsewhere."""
        ...

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        """Hand a chunk over; returns for how many seconds it stood still, None when it was not this shard's to give."""
        ...

    async def load(self, chunk_ids: Sequence[str]) -> list[bool]:
        """Load chunks that were given to this shard.  False: one is gone or belongs to another."""
        ...

    async def health(self) -> ShardHealth:
        """Say at once how the shard is."""
        ...


class ShardClient(Protocol):
    """The shards by number."""

    def shard(self, number: int, *, timeout_s: float) -> Shard:
        """Return a way to the shard on which every call waits at most ``timeout_s`` seconds for its answer."""
        ...


class ClusterClient(Protocol):
    """What concerns all processes of the cluster."""

    async def metrics(self) -> bytes:
        """Return the metrics of all of them in Prometheus text form, this process's too.

        Raises:
            ShardUnavailable: whoever gathers them gave no answer in time.
        """
        ...
