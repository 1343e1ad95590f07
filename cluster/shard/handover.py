"""Giving a chunk to another shard while agents play in it.

Order, and what a crash at each point leaves:

1. everything of the chunk is committed (a flush) - nothing has changed yet;
2. the chunk is dropped from memory - a new epoch of this shard loads it again, its hash still names us;
3. a script gives the chunk's hash to the other shard, if the lease is still ours - the commit point.  It also notes
   the chunk in ``adopt:{shard}``, so that the other shard loads it though nobody tells it;
4. the other shard is called and loads it as in a recovery.

Between 2 and 4 the chunk stands still; its commands are answered ``moved`` and sent again.  When the script's answer
does not come, a new lease keeps it from running later, and Redis says whose the chunk is.
See docs/decisions/0022-routing-and-handover.md.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
import structlog
from redis.exceptions import RedisError

from cluster.peers import WorldReloaded
from streaming import keys
from streaming.lua import load, run
from world.ids import ChunkId
from world.inputs import Drop, Dropped

if TYPE_CHECKING:
    from cluster.shard.runtime import ShardRuntime

log = structlog.get_logger(__name__)

LOAD_TIMEOUT_S = 5.0

GIVE = load("cluster/shard/give_chunk.lua")


class Handover:
    """Chunks leaving this shard."""

    def __init__(self, runtime: ShardRuntime) -> None:
        self._rt = runtime

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        """Hand the chunk over; returns for how many seconds it stood still, None when it was not ours to give.

        Raises:
            ShardUnavailable: the other shard owns it now but has not said that it has loaded it.
            WorldReloaded: nothing has changed.
        """
        if to_shard == self._rt.shard:
            return None
        return await self._rt.background.to_the_end(self._give(chunk_id, to_shard))

    async def _give(self, chunk_id: str, to_shard: int) -> float | None:
        rt = self._rt
        if not await rt.loader.ensure(chunk_id):
            return None
        began = time.monotonic()
        if not await rt.commits.between(lambda: self._drop_and_give(chunk_id, to_shard)):
            return None
        await rt.peers.shard(to_shard, timeout_s=LOAD_TIMEOUT_S).load([chunk_id])
        return time.monotonic() - began

    async def _drop_and_give(self, chunk_id: str, to_shard: int) -> bool:
        """With the commit lock held and everything committed."""
        rt = self._rt
        dropped = rt.world.apply(Drop(ChunkId(chunk_id)))
        if not isinstance(dropped, Dropped):
            return False
        rt.world.take()  # what dropping says (members, records) is the new owner's to say
        rt.arrivals.drop_chunk(chunk_id)
        rt.commits.last_ids.pop(chunk_id, None)
        call = GIVE(
            chunk=keys.chunk(chunk_id),
            shard=rt.shard,
            epoch=rt.journal.epoch,
            to_shard=to_shard,
            state=orjson.dumps(dropped.record.to_json()),
            id=chunk_id,
        )
        with rt.loader.leaving(chunk_id):
            try:
                answer: bytes = await run(rt.redis, call)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("handover_unanswered", shard=rt.shard, chunk_id=chunk_id, error=repr(error))
                answer = b"unknown"
            if answer == b"given":
                return True
            await rt.reload()
        log.warning("chunk_not_given", shard=rt.shard, chunk_id=chunk_id, why=answer.decode())
        if rt.world.holds(ChunkId(chunk_id)):
            raise WorldReloaded
        return answer == b"unknown"  # it has run after all
