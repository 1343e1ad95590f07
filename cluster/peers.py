"""How shards and gateways reach a shard, and the cluster as a whole: ports, so that neither knows Ray."""

from __future__ import annotations

from typing import Any, Protocol


class ShardUnavailable(Exception):
    """The shard gave no answer in time; whether it ran the call is not known."""


class WorldReloaded(Exception):
    """The shard has gone back to its last commit; what was asked had no effect and may be asked again."""


class ShardClient(Protocol):
    """Calls to shards by number.  Calls of one caller may overtake each other."""

    async def call(self, shard: int, method: str, *args: Any, timeout_s: float) -> Any:
        """Run ``method`` on the shard.

        Raises:
            ShardUnavailable: no answer within ``timeout_s`` seconds, or the shard died meanwhile.
            WorldReloaded: see there.
        """
        ...


class ClusterClient(Protocol):
    """What concerns all processes of the cluster."""

    async def metrics(self) -> bytes:
        """Metrics of all of them in Prometheus text form, this process's too.

        Raises:
            ShardUnavailable: whoever gathers them gave no answer in time.
        """
        ...
