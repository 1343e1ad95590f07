"""Moving chunks to the shards where the routing hash wants them, one after the other, while the world runs.

What should be follows from ``world.shard_count`` and ``shard_of``; what is stands in the chunks' hashes.  So a run
that was broken off anywhere is taken up by the next pass.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import structlog
from redis.asyncio import Redis

from cluster import graph
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from world.ids import ChunkId, shard_of

log = structlog.get_logger(__name__)

GIVE_TIMEOUT_S: Final = 10.0


@dataclass(slots=True)
class Progress:
    """What the moving has done since the shard count was last changed.  Pauses in seconds, per chunk."""

    to_move: int = 0
    moved: int = 0
    refused: int = 0
    longest_pause_s: float = 0.0
    pauses_s: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def describe(self) -> dict[str, float | int]:
        """Return plain values for status."""
        return {
            "to_move": self.to_move,
            "moved": self.moved,
            "refused": self.refused,
            "longest_pause_ms": round(self.longest_pause_s * 1000, 1),
        }


class Rebalancer:
    """Hands chunks over to the shard that the hash names."""

    def __init__(self, redis: Redis, shards: ShardClient) -> None:
        self._redis = redis
        self._shards = shards
        self.progress = Progress()

    async def misplaced(self) -> dict[ChunkId, tuple[int, int]]:
        """Return chunks that are not where the hash wants them: their shard, and the one that it names."""
        info = await graph.read_world(self._redis)
        if info is None:
            return {}
        owners = await graph.chunk_owners(self._redis)
        wanted = {name: (owner, shard_of(name, info.shard_count)) for name, owner in owners.items()}
        return {name: (owner, to_shard) for name, (owner, to_shard) in wanted.items() if owner != to_shard}

    async def run(self) -> None:
        """Pass once over all misplaced chunks."""
        misplaced = await self.misplaced()
        self.progress.to_move = len(misplaced)
        for name, (owner, to_shard) in misplaced.items():
            await self._give(name, owner, to_shard)

    async def _give(self, chunk_id: ChunkId, owner: int, to_shard: int) -> None:
        progress = self.progress
        try:
            pause_s = await self._shards.shard(owner, timeout_s=GIVE_TIMEOUT_S).give(chunk_id, to_shard)
        except (ShardUnavailable, WorldReloaded) as error:
            progress.refused += 1
            log.info("handover_put_off", chunk_id=chunk_id, shard=owner, to_shard=to_shard, error=str(error))
            return
        progress.to_move -= 1
        if pause_s is None:
            return
        progress.moved += 1
        progress.pauses_s.append(pause_s)
        progress.longest_pause_s = max(progress.longest_pause_s, pause_s)
