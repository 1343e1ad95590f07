"""The target's side of a crossing between shards: reserving cells, and seating who arrives.

A reserved cell is a field of ``resv:{chunk}`` with a deadline on Redis' clock, and counts as taken in memory.  The
source's commit puts the agent into ``inbox:{chunk}`` only while the reservation stands.  So a cell may be freed only
when, in one look at Redis, the deadline has passed and no arrival is there: from then on none can come.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from redis.exceptions import RedisError

from cluster.messages import CellAnswer, CellRelease, CellRequest
from streaming import keys
from streaming.lua import load, run
from world.ids import AgentId, ChunkId, HandoffId
from world.inputs import Arrive, Joined, Refusal, Release, Reserve
from world.records import AgentRecord

if TYPE_CHECKING:
    from cluster.shard.runtime import ShardRuntime

log = structlog.get_logger(__name__)

LOOK_MARGIN_S = 0.5
LOOK_AGAIN_S = 1.0

EXPIRE = load("cluster/shard/expire_reservation.lua")


@dataclass(slots=True, eq=False)
class TimedReservation:
    """A cell kept for an arrival, until ``look_at`` on the monotonic clock; then Redis is asked.

    Renewed, it is another object: what Redis said about the old one does not count for it.
    """

    handoff_id: str
    chunk_id: str
    x: int
    y: int
    look_at: float


class Arrivals:
    """Reservations of this shard's cells, by handoff and chunk."""

    def __init__(self, runtime: ShardRuntime) -> None:
        self._rt = runtime
        self._reservations: dict[tuple[str, str], TimedReservation] = {}

    def __len__(self) -> int:
        return len(self._reservations)

    def forget(self) -> None:
        """Drop what is in memory; ``recover`` brings it back from Redis."""
        self._reservations.clear()

    # -- reserving --

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        """Reserve cells, each answered on its own; asking again with the same handoff renews its reservation.

        Raises:
            ShardUnavailable, WorldReloaded: nothing was reserved.
        """
        rt = self._rt
        rt.check_open()
        for chunk_id in {request.chunk_id for request in requests}:
            await rt.loader.ensure(chunk_id)
        answers = [self._reserve(request) for request in requests]
        await rt.commits.flush()
        return answers

    def _reserve(self, request: CellRequest) -> CellAnswer:
        rt = self._rt
        handoff_id, chunk_id, x, y = request.handoff_id, request.chunk_id, request.x, request.y
        if not rt.world.holds(chunk_id):
            return CellAnswer("gone")
        answer = rt.world.apply(Reserve(handoff_id, request.agent_id, chunk_id, x, y))
        if isinstance(answer, Refusal):
            return CellAnswer("gone")
        if not answer.ok:
            blocker = answer.blocker
            return CellAnswer("gone") if blocker is None else CellAnswer("blocked", blocker)
        ttl_s = rt.config.reservation_ttl_s
        self._keep(handoff_id, chunk_id, x, y, ttl_s)
        rt.commits.extra.append(lambda batch: batch.reserve(chunk_id, (x, y), handoff_id, int(ttl_s * 1000)))
        return CellAnswer("reserved")

    async def release(self, releases: Sequence[CellRelease]) -> None:
        """The source gave these handoffs up: free their cells, unless an arrival is in the inbox after all."""
        for release in releases:
            reservation = self._reservations.get((release.handoff_id, release.chunk_id))
            if reservation is not None:
                await self._expire(reservation, given_up=True)

    def recover(self, chunk_id: str, reserved: dict[bytes, bytes]) -> None:
        """Take up the reservations that stand in Redis for a chunk just loaded."""
        for cell, value in reserved.items():
            x, y = (int(part) for part in cell.split(b","))
            handoff_id = value.split(b" ")[0].decode()
            self._rt.world.apply(Reserve(HandoffId(handoff_id), AgentId(""), ChunkId(chunk_id), x, y))
            self._keep(handoff_id, chunk_id, x, y, 0.0)

    def _keep(self, handoff_id: str, chunk_id: str, x: int, y: int, ttl_s: float) -> None:
        look_at = time.monotonic() + ttl_s + LOOK_MARGIN_S
        self._reservations[handoff_id, chunk_id] = TimedReservation(handoff_id, chunk_id, x, y, look_at)

    def drop_chunk(self, chunk_id: str) -> None:
        """The chunk has left this shard, reservations and all."""
        for reservation in [p for p in self._reservations.values() if p.chunk_id == chunk_id]:
            del self._reservations[reservation.handoff_id, chunk_id]

    # -- seating --

    async def seat(self) -> None:
        """Seat everybody who waits in the inboxes of chunks with reserved cells, and free what has run out.

        Applies to memory; the caller commits.
        """
        if not self._reservations:
            return
        chunks = sorted({reservation.chunk_id for reservation in self._reservations.values()})
        pipe = self._rt.redis.pipeline(transaction=False)
        for chunk_id in chunks:
            pipe.hgetall(keys.inbox(chunk_id))
        try:
            inboxes = await pipe.execute()
        except (RedisError, OSError, TimeoutError):
            return  # the next tick looks again
        for chunk_id, inbox in zip(chunks, inboxes, strict=True):
            for handoff, arrival in sorted(inbox.items()):
                self._seat_one(chunk_id, handoff.decode(), orjson.loads(arrival))
        now = time.monotonic()
        for reservation in [p for p in self._reservations.values() if p.look_at <= now]:
            self._rt.background.begin(self._expire(reservation))
            reservation.look_at = now + LOOK_AGAIN_S

    def _seat_one(self, chunk_id: str, handoff_id: str, arrival: dict[str, Any]) -> None:
        rt = self._rt
        if not rt.world.holds(ChunkId(chunk_id)) or (handoff_id, chunk_id) not in self._reservations:
            return
        record = AgentRecord.from_json(arrival["record"])
        x, y = arrival["x"], arrival["y"]
        seated = rt.world.apply(Arrive(HandoffId(handoff_id), record, ChunkId(chunk_id), x, y))
        if not isinstance(seated, Joined):
            log.error("arrival_not_seated", shard=rt.shard, chunk_id=chunk_id, why=seated.reason)
            return  # it stays in the inbox, and is tried again
        del self._reservations[handoff_id, chunk_id]
        rt.commits.extra.append(lambda batch: batch.seated(chunk_id, (x, y), handoff_id))

    async def _expire(self, reservation: TimedReservation, *, given_up: bool = False) -> None:
        """Free the cell if nobody can come to it any more: no arrival is there, and the reservation is taken back."""
        await (
            self._rt.commits.flush()
        )  # a reservation that Redis does not have yet must not be taken for one that has gone
        cell, key = f"{reservation.x},{reservation.y}", (reservation.handoff_id, reservation.chunk_id)
        chunk, handoff = reservation.chunk_id, reservation.handoff_id
        call = EXPIRE(chunk=chunk, cell=cell, handoff=handoff, given_up="1" if given_up else "0")
        answer = await run(self._rt.redis, call)
        if answer == b"free" and self._reservations.get(key) is reservation:
            del self._reservations[key]
            self._rt.world.apply(Release(HandoffId(reservation.handoff_id), ChunkId(reservation.chunk_id)))
