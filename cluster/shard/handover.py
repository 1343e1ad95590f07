"""Giving a chunk to another shard while agents play in it.

Order, and what a crash at each point leaves:

0. the other shard comes to this one's tick, where its phase lets it be behind by one (``cluster.tick_clock``): a chunk
   that is ahead would make it leave out a tick of all its chunks;
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

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.peers import ShardClient, WorldReloaded
from cluster.shard.commits import Commits
from cluster.shard.loading import ChunkLoader
from cluster.shard.memory import ShardMemory
from cluster.shard.reservations import Reservations
from cluster.shard.shard_tasks import ShardTasks
from cluster.tick_clock import TickClock, phase_of
from streaming import keys
from streaming.journal import Journal
from streaming.lua import load, run
from world.ids import ChunkId
from world.inputs import Drop, Dropped

log = structlog.get_logger(__name__)

LOAD_TIMEOUT_S: Final = 5.0
#: The other shard needs a moment to run the tick that has begun there.
TICK_RUNS_S: Final = 0.01

GIVE: Final = load("cluster/shard/give_chunk.lua")


class Handover:
    """Chunks leaving this shard.

    Args:
        reload: Goes back to the last commit, with the commit lock held.
    """

    def __init__(
        self,
        redis: Redis,
        memory: ShardMemory,
        journal: Journal,
        clock: TickClock,
        reservations: Reservations,
        loader: ChunkLoader,
        commits: Commits,
        tasks: ShardTasks,
        peers: ShardClient,
        *,
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        self._redis = redis
        self._memory = memory
        self._journal = journal
        self._clock = clock
        self._reservations = reservations
        self._loader = loader
        self._commits = commits
        self._tasks = tasks
        self._peers = peers
        self._reload = reload

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        """Hand the chunk over; return for how many seconds it stood still, None when it was not ours to give.

        Raises:
            ShardUnavailable: the other shard owns it now but has not said that it has loaded it.
            WorldReloaded: nothing has changed.
        """
        if to_shard == self._memory.shard:
            return None
        return await self._tasks.to_the_end(self._give(chunk_id, to_shard))

    async def put_out(self, chunk_id: str) -> None:
        """Put a chunk that is frozen out of memory, with all of it committed; it stays this shard's.

        As if it were given to somebody who does not load it: what a crash leaves is the same.

        Raises:
            WorldReloaded: what was pending could not be committed, or the answer did not come.
        """
        await self._tasks.to_the_end(self._commits.between(lambda: self._drop_and_give(chunk_id, self._memory.shard)))

    async def _give_frozen(self, chunk_id: str, to_shard: int) -> float | None:
        """Give a chunk that is ours and in nobody's memory; None when it was not.

        The script is the only step: what is not loaded has nothing to commit.
        """
        shard = self._memory.shard
        with self._loader.leaving(chunk_id):
            if self._loader.is_loading(chunk_id):
                return None  # it was thawed a moment ago
            call = GIVE(
                chunk=keys.chunk(chunk_id),
                shard=shard,
                epoch=self._journal.epoch,
                to_shard=to_shard,
                state="",
                id=chunk_id,
            )
            answer: bytes = await run(self._redis, call)
        if answer != b"given":
            return None
        await self._peers.shard(to_shard, timeout_s=LOAD_TIMEOUT_S).load([chunk_id])
        return 0.0

    async def _give(self, chunk_id: str, to_shard: int) -> float | None:
        if not await self._loader.ensure(chunk_id):
            return await self._give_frozen(chunk_id, to_shard) if await self._loader.is_frozen(chunk_id) else None
        await self._meet(to_shard)
        began = time.monotonic()
        if not await self._commits.between(lambda: self._drop_and_give(chunk_id, to_shard)):
            return None
        await self._peers.shard(to_shard, timeout_s=LOAD_TIMEOUT_S).load([chunk_id])
        return time.monotonic() - began

    async def _meet(self, to_shard: int) -> None:
        """Wait for the other shard to come to our tick, which is less than a tick away."""
        behind_s = self._clock.until_there(self._memory.tick, phase_of(to_shard), time.monotonic())
        if 0 < behind_s < 1 / self._clock.hz:
            await asyncio.sleep(behind_s + TICK_RUNS_S)

    async def _drop_and_give(self, chunk_id: str, to_shard: int) -> bool:
        """Give the chunk away while the commit lock is held and all is committed; return False when it was not ours."""
        shard, world = self._memory.shard, self._memory.world
        dropped = world.apply(Drop(ChunkId(chunk_id)))
        if not isinstance(dropped, Dropped):
            return False
        world.take()  # what dropping says (members, records) is the new owner's to say
        self._reservations.drop_chunk(chunk_id)
        self._commits.next.last_ids.pop(chunk_id, None)
        call = GIVE(
            chunk=keys.chunk(chunk_id),
            shard=shard,
            epoch=self._journal.epoch,
            to_shard=to_shard,
            state=orjson.dumps(dropped.record.to_json()),
            id=chunk_id,
        )
        with self._loader.leaving(chunk_id):
            try:
                answer: bytes = await run(self._redis, call)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("handover_unanswered", shard=shard, chunk_id=chunk_id, error=repr(error))
                answer = b"unknown"
            if answer == b"given":
                return True
            await self._reload()
        log.warning("chunk_not_given", shard=shard, chunk_id=chunk_id, why=answer.decode())
        if self._memory.world.holds(ChunkId(chunk_id)):
            raise WorldReloaded
        return answer == b"unknown"  # it has run after all
