"""The target's side of a crossing between shards: reserving cells, and seating who arrives.

A reserved cell is a field of ``resv:{chunk}`` with a deadline on Redis' clock, and counts as taken in memory.  The
source's commit puts the agent into ``inbox:{chunk}`` only while the reservation stands.  So a cell may be freed only
when, in one look at Redis, the deadline has passed and no arrival is there: from then on none can come.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.messages import CellAnswer, CellRelease, CellRequest
from cluster.shard.commits import Commits
from cluster.shard.loading import ChunkLoader
from cluster.shard.memory import ShardMemory
from cluster.shard.reservations import Reservations, TimedReservation
from cluster.shard.shard_epoch import ShardEpoch
from cluster.shard.shard_tasks import ShardTasks
from streaming import keys
from streaming.direct_redis import DirectRedis
from streaming.lua import load, run, run_all
from world.ids import ChunkId, HandoffId
from world.inputs import Arrive, Joined, Refusal, Release, Reserve
from world.records import AgentRecord

log = structlog.get_logger(__name__)

LOOK_AGAIN_S: Final = 1.0

EXPIRE: Final = load("cluster/shard/expire_reservation.lua")


class Arrivals:
    """Agents that come from other shards.

    Args:
        direct: For what is asked in every tick.
        ttl_s: How long a cell is kept.
    """

    def __init__(
        self,
        direct: Redis | DirectRedis,
        memory: ShardMemory,
        epoch: ShardEpoch,
        reservations: Reservations,
        loader: ChunkLoader,
        commits: Commits,
        tasks: ShardTasks,
        *,
        ttl_s: float,
    ) -> None:
        self._direct = direct
        self._memory = memory
        self._epoch = epoch
        self._reservations = reservations
        self._loader = loader
        self._commits = commits
        self._tasks = tasks
        self._ttl_s = ttl_s

    # -- reserving --

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        """Reserve cells, each answered on its own; asking again with the same handoff renews its reservation.

        Raises:
            ShardUnavailable, WorldReloaded: nothing was reserved.
        """
        self._epoch.check_open()
        for chunk_id in {request.chunk_id for request in requests}:
            await self._loader.ensure(chunk_id)
        answers = [self._reserve(request) for request in requests]
        await self._commits.gather(len(requests))
        return answers

    def _reserve(self, request: CellRequest) -> CellAnswer:
        world = self._memory.world
        handoff_id, chunk_id, x, y = request.handoff_id, request.chunk_id, request.x, request.y
        if not world.holds(chunk_id):
            return CellAnswer("gone")
        answer = world.apply(Reserve(handoff_id, request.agent_id, chunk_id, x, y))
        if isinstance(answer, Refusal):
            return CellAnswer("gone")
        if not answer.ok:
            blocker = answer.blocker
            return CellAnswer("gone") if blocker is None else CellAnswer("blocked", blocker)
        self._reservations.keep(handoff_id, chunk_id, x, y, self._ttl_s)
        self._commits.next.additions.reserve(chunk_id, (x, y), handoff_id, int(self._ttl_s * 1000))
        return CellAnswer("reserved")

    async def release(self, releases: Sequence[CellRelease]) -> None:
        """Free the cells of handoffs that their source has given up, unless an arrival is in the inbox after all."""
        for release in releases:
            reservation = self._reservations.get(release.handoff_id, release.chunk_id)
            if reservation is not None:
                await self._expire(reservation, given_up=True)

    # -- seating --

    async def seat(self) -> None:
        """Seat everybody who waits in the inboxes of chunks with reserved cells, and free what has run out.

        Applies to memory; the caller commits.
        """
        if not self._reservations:
            return
        chunks = sorted({reservation.chunk_id for reservation in self._reservations})
        try:
            inboxes = await run_all(self._direct, [("HGETALL", keys.inbox(chunk_id)) for chunk_id in chunks])
        except (RedisError, OSError, TimeoutError):
            return  # the next tick looks again
        for chunk_id, inbox in zip(chunks, inboxes, strict=True):
            if isinstance(inbox, Exception):
                continue
            for handoff, arrival in sorted(_fields(inbox)):
                self._seat_one(chunk_id, handoff.decode(), orjson.loads(arrival))
        now = time.monotonic()
        for reservation in self._reservations:
            if reservation.look_at <= now:
                self._tasks.begin(self._expire(reservation))
                reservation.look_at = now + LOOK_AGAIN_S

    def _seat_one(self, chunk_id: str, handoff_id: str, arrival: dict[str, Any]) -> None:
        world = self._memory.world
        if not world.holds(ChunkId(chunk_id)) or self._reservations.get(handoff_id, chunk_id) is None:
            return
        record = AgentRecord.from_json(arrival["record"])
        x, y = arrival["x"], arrival["y"]
        seated = world.apply(Arrive(HandoffId(handoff_id), record, ChunkId(chunk_id), x, y))
        if not isinstance(seated, Joined):
            log.error("arrival_not_seated", shard=self._memory.shard, chunk_id=chunk_id, why=seated.reason)
            return  # it stays in the inbox, and is tried again
        self._reservations.drop(handoff_id, chunk_id)
        self._commits.next.additions.seated(chunk_id, (x, y), handoff_id)

    async def _expire(self, reservation: TimedReservation, *, given_up: bool = False) -> None:
        """Free the cell if nobody can come to it any more: no arrival is there, and the reservation is taken back."""
        # A reservation that Redis does not have yet must not be taken for one that has gone.
        await self._commits.flush()
        handoff_id, chunk_id, cell = reservation.handoff_id, reservation.chunk_id, f"{reservation.x},{reservation.y}"
        call = EXPIRE(chunk=chunk_id, cell=cell, handoff=handoff_id, given_up="1" if given_up else "0")
        answer = await run(self._direct, call)
        if answer == b"free" and self._reservations.get(handoff_id, chunk_id) is reservation:
            self._reservations.drop(handoff_id, chunk_id)
            self._memory.world.apply(Release(HandoffId(handoff_id), ChunkId(chunk_id)))


def _fields(answer: Any) -> Iterable[tuple[bytes, bytes]]:
    """Return the fields of a hash, which are a mapping or one list, as the client has it."""
    return answer.items() if isinstance(answer, Mapping) else zip(answer[::2], answer[1::2], strict=True)
