"""Lease and commits of one partition, and the points at which a process may be killed."""

from __future__ import annotations

import os
import secrets
import signal
from typing import Any

from streaming.commit import Batch
from streaming.lua import Call, run
from tests.bench.partitions.partition import ACQUIRE, COMMIT, Partition

__all__ = ["Journal", "PartitionBatch", "Refused", "Stop"]


class Refused(Exception):
    """Nothing of a commit was written: the lease is another's (``fenced``) or a condition did not hold (``cond``)."""


class Stop:
    """Where this process ends.  ``at``: the script was sent, and nobody waits for its answer.

    Args:
        place: ``go:before``, ``go:at``, ``go:after``, ...; empty: nowhere.
        pause: stand still there until somebody sends SIGCONT, instead of ending.
    """

    def __init__(self, place: str = "", *, pause: bool = False) -> None:
        self._place = place
        self._signal = signal.SIGSTOP if pause else signal.SIGKILL

    async def run(self, name: str, redis: Any, call: Call) -> Any:
        """Run a script, unless this is the place."""
        if self._place == f"{name}:before":
            os.kill(os.getpid(), self._signal)
        if self._place == f"{name}:at":
            connection = await redis.connection_pool.get_connection()
            await connection.send_command(*call.words_with_source)
            os.kill(os.getpid(), self._signal)
            return await connection.read_response()
        answer = await run(redis, call)
        if self._place == f"{name}:after":
            os.kill(os.getpid(), self._signal)
        return answer


class PartitionBatch(Batch):
    """A commit of a partition: the product's operations, and those between partitions."""

    def intend(self, handoff: str, attempt: int, ttl_ms: int) -> None:
        """Note that an agent wants to go."""
        self.ops += ("W", handoff, attempt, ttl_ms)

    def only_if_intended(self, handoff: str, attempt: int) -> None:
        """Require that nobody has taken that back, and that its time is not over."""
        self.conditions += ("I", handoff, str(attempt), "")

    def go(
        self, target: Partition, handoff: str, reservation: str, agent_id: str, chunk_id: str, arrival: bytes
    ) -> None:
        """Let an agent go; after all of its events in this commit."""
        self.ops += ("O", str(target), handoff, reservation, agent_id, chunk_id, arrival)

    def forget(self, target: Partition, upto: int) -> None:
        """Forget arrivals that the target has taken."""
        self.ops += ("K", str(target), upto)

    def bring(self, agent_id: str, seq: int, pieces: str, refused: str) -> None:
        """Write what came with an agent; before any of its events in this commit."""
        self.ops += ("A", agent_id, seq, pieces, refused)


class Journal:
    """The commits of one epoch of a partition."""

    def __init__(self, redis: Any, partition: Partition, stop: Stop, epoch: int, seq: int, tick: int) -> None:
        self.redis = redis
        self.partition = partition
        self.stop = stop
        #: Of the last commit.
        self.tick = tick
        self._epoch = epoch
        self._seq = seq
        self._key = partition.key("lease")

    @classmethod
    async def acquire(cls, redis: Any, partition: Partition, stop: Stop | None = None) -> Journal:
        """Take the partition's lease from whoever has it."""
        call = ACQUIRE(shard=partition.key("lease"), holder=secrets.token_hex(8))
        epoch, seq, tick = await run(redis, call)
        return cls(redis, partition, stop or Stop(), int(epoch), int(seq), max(0, int(tick)))

    @property
    def next_number(self) -> int:
        """Of the next commit.  Numbers rise over all epochs, so an attempt that bears one is a new one."""
        return self._seq + 1

    def batch(self) -> PartitionBatch:
        """An empty commit of the next tick."""
        return PartitionBatch(tick=self.tick + 1)

    async def commit(self, name: str, batch: Batch) -> None:
        """Write ``batch``, once.  ``name``: of the point, for ``Stop``.

        Raises:
            Refused: nothing was written.
        """
        answered, self._seq = self._seq, self._seq + 1
        call = self.partition.script(COMMIT)(
            shard=self._key,
            epoch=self._epoch,
            seq=self._seq,
            tick=batch.tick,
            answered=answered,
            conditions=len(batch.conditions) // 4,
            words=[*batch.conditions, *batch.ops],
        )
        answer = await self.stop.run(name, self.redis, call)
        if answer[0] != b"ok":
            raise Refused(answer[0].decode())
        self.tick = batch.tick
