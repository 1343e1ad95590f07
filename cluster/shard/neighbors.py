"""Making neighbours and collecting empty chunks, as the core asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster import graph
from cluster.graph import ChunkCollected
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from cluster.shard.commits import Commits
from cluster.shard.loading import ChunkLoader
from cluster.shard.memory import ShardMemory
from cluster.shard.shard_tasks import ShardTasks
from streaming import keys
from streaming.connect import as_text
from streaming.journal import Journal
from world.ids import ChunkId, Direction
from world.inputs import Close, Keep, Linked, Refusal, Unlinked
from world.outputs import ReserveWanted

log = structlog.get_logger(__name__)

UNLINK_TIMEOUT_S: Final = 2.0
UNLINK_TRIES: Final = 5
UNLINK_PAUSE_S: Final = 1.0


class NeighborLinks:
    """The links of this shard's chunks."""

    def __init__(
        self,
        redis: Redis,
        memory: ShardMemory,
        journal: Journal,
        loader: ChunkLoader,
        commits: Commits,
        tasks: ShardTasks,
        peers: ShardClient,
    ) -> None:
        self._redis = redis
        self._memory = memory
        self._journal = journal
        self._loader = loader
        self._commits = commits
        self._tasks = tasks
        self._peers = peers

    async def make(self, chunk_id: ChunkId, direction: Direction) -> None:
        """Find or make the neighbour on that side, load it when it is ours, and tell the core."""
        try:
            neighbor = await graph.ensure_neighbor(self._redis, chunk_id, direction)
        except ChunkCollected:
            return
        await self._loader.ensure(neighbor)
        if self._memory.world.holds(chunk_id):
            self._memory.world.apply(Linked(chunk_id, direction, neighbor))

    async def refresh(self, chunk_ids: Sequence[str]) -> None:
        """Compare the links in memory with Redis: a neighbour was collected or made elsewhere."""
        for chunk_id in chunk_ids:
            if not self._memory.world.holds(ChunkId(chunk_id)):
                continue
            sides = await self._redis.hmget(keys.chunk(chunk_id), ["N", "E", "S", "W"])
            if not self._memory.world.holds(ChunkId(chunk_id)):
                continue  # it has left this shard meanwhile
            directions: tuple[Direction, ...] = ("N", "E", "S", "W")
            for direction, side in zip(directions, sides, strict=True):
                self._set(ChunkId(chunk_id), direction, ChunkId(as_text(side)) if side is not None else None)

    def _set(self, chunk_id: ChunkId, direction: Direction, neighbor: ChunkId | None) -> None:
        present = self._memory.world.neighbors(chunk_id)[direction]
        if present == neighbor:
            return
        if present is not None:
            self._memory.world.apply(Unlinked(chunk_id, direction))
        if neighbor is not None:
            self._memory.world.apply(Linked(chunk_id, direction, neighbor))

    def lost(self, request: ReserveWanted) -> None:
        """Correct a link to a neighbour that has gone; the core asks for a new one."""
        self._tasks.begin(self.refresh([request.from_chunk]))

    # -- collecting --

    async def collect(self, chunk_id: ChunkId) -> None:
        """Take the chunk out of memory, then out of Redis; back into memory when Redis knows better."""
        memory, world = self._memory, self._memory.world
        if self._loader.is_leaving(chunk_id) or not world.holds(chunk_id) or world.population_of(chunk_id):
            return
        linked = [neighbor for neighbor in world.neighbors(chunk_id).values() if neighbor is not None]
        with self._loader.leaving(chunk_id):
            if isinstance(world.apply(Close(chunk_id)), Refusal):
                return  # a cell of it is reserved; the core asks again
            await self._commits.flush()
            outcome = await self._collect(chunk_id)
        if await self._loader.ensure(chunk_id):
            memory.world.apply(Keep(chunk_id))
            log.info("collection_given_up", shard=memory.shard, chunk_id=chunk_id, why=outcome)
            return
        self._commits.next.last_ids.pop(chunk_id, None)
        for neighbor in linked:
            await self._tell_neighbor(neighbor)

    async def _collect(self, chunk_id: ChunkId) -> str:
        """Run the script.  ``unknown``: no answer came, and from now on none will; Redis knows whether it has run."""
        shard, tick = self._memory.shard, self._memory.tick
        try:
            answer = await graph.collect(
                self._redis, chunk_id, shard=shard, epoch=self._journal.epoch, tick=tick + 1, trace_id=f"tick-{tick}"
            )
        except (RedisError, OSError, TimeoutError):
            await self._commits.between(self._journal.renew)
            return "unknown"
        return answer[0]

    async def _tell_neighbor(self, neighbor: ChunkId) -> None:
        """Have the neighbour forget its link to a chunk that is gone: with it, it would never be collected itself."""
        for _ in range(UNLINK_TRIES):
            owner = await self._redis.hget(keys.chunk(neighbor), "shard")
            if owner is None:
                return
            if int(owner) == self._memory.shard:
                await self.refresh([neighbor])
                return
            try:
                await self._peers.shard(int(owner), timeout_s=UNLINK_TIMEOUT_S).refresh([neighbor])
                return
            except (ShardUnavailable, WorldReloaded):
                await asyncio.sleep(UNLINK_PAUSE_S)
        log.info("neighbor_not_told", shard=self._memory.shard, chunk_id=neighbor)  # it finds out when it next asks
