"""What an operator has frozen, as one shard keeps to it (``streaming.frozen``, docs/decisions/0083).

A frozen chunk is put out of memory, everything of it committed, and is not loaded while it is frozen; thawing loads it
as after a crash.  While the whole world is frozen the shard keeps its chunks, runs no tick and takes no new work.
"""

from __future__ import annotations

import asyncio

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard.handover import Handover
from cluster.shard.loading import ChunkLoader
from cluster.shard.memory import ShardMemory
from cluster.shard.presence import Presence
from cluster.shard.shard_epoch import ShardEpoch
from streaming.frozen import read_frozen
from world.ids import ChunkId

log = structlog.get_logger(__name__)


class Freezing:
    """Looks at what is frozen, again and again.

    Args:
        interval_s: How often.
    """

    def __init__(
        self,
        redis: Redis,
        memory: ShardMemory,
        epoch: ShardEpoch,
        loader: ChunkLoader,
        handover: Handover,
        presence: Presence,
        *,
        interval_s: float,
    ) -> None:
        self._redis = redis
        self._memory = memory
        self._epoch = epoch
        self._loader = loader
        self._handover = handover
        self._presence = presence
        self._interval_s = interval_s
        #: Chunks that were frozen when it last looked, and those thawed since that could not be loaded yet.
        self._known: frozenset[str] = frozenset()

    async def loop(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look()
            except (RedisError, OSError, TimeoutError, WorldReloaded, ShardUnavailable) as error:
                log.info("freezing_put_off", shard=self._memory.shard, error=repr(error))

    async def look(self) -> None:
        """Put out what is frozen now, and load what is frozen no more and is ours."""
        frozen = await read_frozen(self._redis)
        self._epoch.frozen = frozen.world
        if frozen.world:
            self._presence.pause()  # nobody's time runs out while all stands still
        # Before anything can fail: what is to be loaded is remembered until it is.
        thawed = self._known - frozen.chunks
        self._known |= frozen.chunks
        for chunk_id in sorted(frozen.chunks):
            if self._memory.world.holds(ChunkId(chunk_id)):
                await self._handover.put_out(chunk_id)
                log.info("chunk_frozen", shard=self._memory.shard, chunk_id=chunk_id)
        for chunk_id in sorted(thawed):
            if await self._loader.ensure(chunk_id):
                log.info("chunk_thawed", shard=self._memory.shard, chunk_id=chunk_id)
        self._known = frozen.chunks
