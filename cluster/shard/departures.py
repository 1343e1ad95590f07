"""The source's side of a crossing between shards: asking for a cell, and telling the core the answer.

The core asks (``ReserveWanted``) and goes on ticking; here the requests of a tick travel in one call per target
shard.  The answer becomes ``Granted`` or ``Denied`` before the next tick, whose commit carries the agent over.  No
answer: the core asks again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from redis.asyncio import Redis

from cluster.messages import CellAnswer, CellRelease, CellRequest
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from cluster.shard.arrivals import Arrivals
from cluster.shard.memory import ShardMemory
from cluster.shard.neighbors import NeighborLinks
from cluster.shard.shard_tasks import ShardTasks
from streaming import keys
from streaming.direct_redis import DirectRedis
from streaming.lua import Call, Word, run_all
from world.inputs import Denied, Granted
from world.outputs import ReleaseWanted, ReserveWanted


class Departures:
    """Requests on their way to other shards, one call at a time per target.

    Args:
        direct: For what is asked in nearly every tick.
        reserve_timeout_s: How long a call waits for its answer.
        grant_usable_s: How old an answer may be, counted from the question, to build a commit on it.
    """

    def __init__(
        self,
        direct: Redis | DirectRedis,
        memory: ShardMemory,
        arrivals: Arrivals,
        neighbors: NeighborLinks,
        tasks: ShardTasks,
        peers: ShardClient,
        *,
        reserve_timeout_s: float,
        grant_usable_s: float,
    ) -> None:
        self._direct = direct
        self._memory = memory
        self._arrivals = arrivals
        self._neighbors = neighbors
        self._tasks = tasks
        self._peers = peers
        self._reserve_timeout_s = reserve_timeout_s
        self._grant_usable_s = grant_usable_s
        self._waiting: dict[int, list[ReserveWanted]] = {}
        self._busy: set[int] = set()

    def forget(self) -> None:
        """Drop what waits; the core asks again after a reload."""
        self._waiting.clear()

    def ask(self, requests: Iterable[ReserveWanted]) -> None:
        """Send requests to the owners of their chunks."""
        self._tasks.begin(self._route(list(requests)))

    def ask_again(self) -> None:
        """Start calls for targets that have requests waiting and no call under way."""
        for shard in sorted(self._waiting):
            self._kick(shard)

    async def release(self, request: ReleaseWanted) -> None:
        """Tell the target that nobody will come; if it does not hear, the reservation runs out by itself."""
        [owner] = await run_all(self._direct, [("HGET", keys.chunk(request.to_chunk), "shard")])
        if isinstance(owner, Exception):
            raise owner
        if owner is not None and int(owner) != self._memory.shard:
            target = self._peers.shard(int(owner), timeout_s=self._reserve_timeout_s)
            await target.release([CellRelease(request.handoff_id, request.to_chunk)])

    async def _route(self, requests: list[ReserveWanted]) -> None:
        asked: list[Call | tuple[Word, ...]] = [("HGET", keys.chunk(r.to_chunk), "shard") for r in requests]
        for request, owner in zip(requests, await run_all(self._direct, asked), strict=True):
            if isinstance(owner, Exception):
                raise owner
            if owner is None:
                self._neighbors.lost(request)
                continue
            waiting = self._waiting.setdefault(int(owner), [])
            if request not in waiting:  # asked again while a call is under way
                waiting.append(request)
        self.ask_again()

    def _kick(self, shard: int) -> None:
        if shard not in self._busy and self._waiting.get(shard):
            self._busy.add(shard)
            self._tasks.begin(self._drain(shard))

    async def _drain(self, shard: int) -> None:
        try:
            while requests := self._waiting.pop(shard, []):
                await self._call(shard, requests)
        finally:
            self._busy.discard(shard)

    async def _call(self, shard: int, requests: list[ReserveWanted]) -> None:
        asked_at, generation = time.monotonic(), self._memory.generation
        cells = [CellRequest(r.handoff_id, r.agent_id, r.to_chunk, r.x, r.y) for r in requests]
        try:
            if shard == self._memory.shard:  # the chunk came to this shard meanwhile, or is not loaded yet
                answers = await self._arrivals.reserve(cells)
            else:
                answers = await self._peers.shard(shard, timeout_s=self._reserve_timeout_s).reserve(cells)
        except (ShardUnavailable, WorldReloaded):
            return  # nothing is known, nothing is assumed: the core asks again with the same handoff
        if self._memory.generation != generation or time.monotonic() - asked_at > self._grant_usable_s:
            return  # too old to build a commit on
        for request, answer in zip(requests, answers, strict=True):
            self._tell(request, answer)

    def _tell(self, request: ReserveWanted, answer: CellAnswer) -> None:
        if answer.outcome == "reserved":
            self._memory.world.apply(Granted(request.handoff_id, request.agent_id))
        elif answer.outcome == "blocked":
            self._memory.world.apply(Denied(request.handoff_id, request.agent_id, answer.blocker))
        else:
            self._neighbors.lost(request)
