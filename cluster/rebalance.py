"""Moving chunks to the shards where the routing hash wants them, one after the other, while the world runs.

What should be follows from ``world.shard_count`` and ``shard_of``; what is stands in the chunks' hashes.  So a run
that was broken off anywhere is taken up by the next pass.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import structlog
from redis.asyncio import Redis

from cluster import graph
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from streaming import keys
from streaming.connect import text
from world.ids import shard_of

log = structlog.get_logger(__name__)

GIVE_TIMEOUT_S = 10.0


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
        """Plain values for status."""
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

    async def owners(self) -> dict[str, int]:
        """Every live chunk's present shard."""
        names = sorted(text(name) for name in await self._redis.smembers(keys.CHUNKS))
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hget(keys.chunk(name), "shard")
        found = zip(names, await pipe.execute(), strict=True)
        return {name: int(owner) for name, owner in found if owner is not None}

    async def run(self) -> int:
        """One pass over all misplaced chunks; returns how many are still misplaced."""
        info = await graph.read_world(self._redis)
        if info is None:
            return 0
        owners = await self.owners()
        misplaced = {name: owner for name, owner in owners.items() if owner != shard_of(name, info.shard_count)}
        self.progress.to_move = len(misplaced)
        for name, owner in misplaced.items():
            await self._give(name, owner, shard_of(name, info.shard_count))
        return self.progress.to_move

    async def _give(self, chunk_id: str, owner: int, to_shard: int) -> None:
        progress = self.progress
        try:
            pause_s = await self._shards.call(owner, "give", chunk_id, to_shard, timeout_s=GIVE_TIMEOUT_S)
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

    async def load_given(self) -> None:
        """Have every shard load the chunks that its hash entries name: one was given and its load call lost."""
        by_owner: dict[int, list[str]] = {}
        for name, owner in (await self.owners()).items():
            by_owner.setdefault(owner, []).append(name)
        for owner, names in sorted(by_owner.items()):
            try:
                await self._shards.call(owner, "load", names, timeout_s=GIVE_TIMEOUT_S)
            except (ShardUnavailable, WorldReloaded) as error:
                log.info("load_put_off", shard=owner, error=str(error))
