"""The source's side of a crossing between shards: asking for a cell, and telling the core the answer.

The core asks (``ReserveWanted``) and goes on ticking; here the requests of a tick travel in one call per target
shard.  The answer becomes ``Granted`` or ``Denied`` before the next tick, whose commit carries the agent over.  No
answer: the core asks again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cluster.messages import CellAnswer, CellRelease, CellRequest
from cluster.peers import ShardUnavailable, WorldReloaded
from streaming import keys
from world.inputs import Denied, Granted
from world.outputs import ReleaseWanted, ReserveWanted

if TYPE_CHECKING:
    from cluster.shard.runtime import ShardRuntime


class Departures:
    """Requests on their way to other shards, one call at a time per target."""

    def __init__(self, runtime: ShardRuntime) -> None:
        self._rt = runtime
        self._waiting: dict[int, list[ReserveWanted]] = {}
        self._busy: set[int] = set()

    def forget(self) -> None:
        """Drop what waits; the core asks again after a reload."""
        self._waiting.clear()

    def ask(self, requests: Iterable[ReserveWanted]) -> None:
        """Send requests to the owners of their chunks."""
        self._rt.background.begin(self._route(list(requests)))

    def ask_again(self) -> None:
        """Start calls for targets that have requests waiting and no call under way."""
        for shard in sorted(self._waiting):
            self._kick(shard)

    async def release(self, request: ReleaseWanted) -> None:
        """Tell the target that nobody will come; if it does not hear, the reservation runs out by itself."""
        owner = await self._rt.redis.hget(keys.chunk(request.to_chunk), "shard")
        if owner is not None and int(owner) != self._rt.shard:
            target = self._rt.peers.shard(int(owner), timeout_s=self._rt.config.reserve_timeout_s)
            await target.release([CellRelease(request.handoff_id, request.to_chunk)])

    async def _route(self, requests: list[ReserveWanted]) -> None:
        pipe = self._rt.redis.pipeline(transaction=False)
        for request in requests:
            pipe.hget(keys.chunk(request.to_chunk), "shard")
        for request, owner in zip(requests, await pipe.execute(), strict=True):
            if owner is None:
                self._rt.neighbors.lost(request)
                continue
            waiting = self._waiting.setdefault(int(owner), [])
            if request not in waiting:  # asked again while a call is under way
                waiting.append(request)
        self.ask_again()

    def _kick(self, shard: int) -> None:
        if shard not in self._busy and self._waiting.get(shard):
            self._busy.add(shard)
            self._rt.background.begin(self._drain(shard))

    async def _drain(self, shard: int) -> None:
        try:
            while requests := self._waiting.pop(shard, []):
                await self._call(shard, requests)
        finally:
            self._busy.discard(shard)

    async def _call(self, shard: int, requests: list[ReserveWanted]) -> None:
        rt = self._rt
        asked_at, generation = time.monotonic(), rt.generation
        cells = [CellRequest(r.handoff_id, r.agent_id, r.to_chunk, r.x, r.y) for r in requests]
        try:
            if shard == rt.shard:  # the chunk came to this shard meanwhile, or is not loaded yet
                answers = await rt.arrivals.reserve(cells)
            else:
                answers = await rt.peers.shard(shard, timeout_s=rt.config.reserve_timeout_s).reserve(cells)
        except (ShardUnavailable, WorldReloaded):
            return  # nothing is known, nothing is assumed: the core asks again with the same handoff
        if rt.generation != generation or time.monotonic() - asked_at > rt.config.grant_usable_s:
            return  # too old to build a commit on
        for request, answer in zip(requests, answers, strict=True):
            self._tell(request, answer)

    def _tell(self, request: ReserveWanted, answer: CellAnswer) -> None:
        if answer.outcome == "reserved":
            self._rt.world.apply(Granted(request.handoff_id, request.agent_id))
        elif answer.outcome == "blocked":
            self._rt.world.apply(Denied(request.handoff_id, request.agent_id, answer.blocker))
        else:
            self._rt.neighbors.lost(request)
