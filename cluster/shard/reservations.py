"""The cells that this shard keeps for agents of other shards, as far as its memory knows of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cluster.shard.memory import ShardMemory
from world.ids import AgentId, ChunkId, HandoffId
from world.inputs import Reserve

LOOK_MARGIN_S: Final = 0.5


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


class Reservations:
    """The reservations by handoff and chunk."""

    def __init__(self, memory: ShardMemory) -> None:
        self._memory = memory
        self._kept: dict[tuple[str, str], TimedReservation] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[TimedReservation]:
        return iter(list(self._kept.values()))

    def get(self, handoff_id: str, chunk_id: str) -> TimedReservation | None:
        """Return the reservation of a handoff in a chunk, if there is one."""
        return self._kept.get((handoff_id, chunk_id))

    def keep(self, handoff_id: str, chunk_id: str, x: int, y: int, ttl_s: float) -> None:
        """Remember a reserved cell; it replaces what was remembered of the same handoff."""
        look_at = time.monotonic() + ttl_s + LOOK_MARGIN_S
        self._kept[handoff_id, chunk_id] = TimedReservation(handoff_id, chunk_id, x, y, look_at)

    def drop(self, handoff_id: str, chunk_id: str) -> None:
        """Forget one: its cell was freed or taken."""
        del self._kept[handoff_id, chunk_id]

    def drop_chunk(self, chunk_id: str) -> None:
        """Forget all reservations in a chunk that has left this shard."""
        for reservation in self:
            if reservation.chunk_id == chunk_id:
                self.drop(reservation.handoff_id, chunk_id)

    def forget(self) -> None:
        """Drop what is in memory; ``recover`` brings it back from Redis."""
        self._kept.clear()

    def recover(self, chunk_id: str, reserved: Mapping[bytes, bytes]) -> None:
        """Take up the reservations that stand in Redis (``resv:``) for a chunk just loaded."""
        for cell, value in reserved.items():
            x, y = (int(part) for part in cell.split(b","))
            handoff_id = value.split(b" ")[0].decode()
            self._memory.world.apply(Reserve(HandoffId(handoff_id), AgentId(""), ChunkId(chunk_id), x, y))
            self.keep(handoff_id, chunk_id, x, y, 0.0)
