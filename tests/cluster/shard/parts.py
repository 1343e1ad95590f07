"""What parts of a shard are given when they are tested alone, without a runtime around them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from cluster.messages import CellAnswer, CellRelease, CellRequest
from cluster.peers import Shard, ShardUnavailable
from cluster.shard.commits import Commits
from cluster.shard.memory import ShardMemory
from cluster.shard.shard_epoch import ShardEpoch
from cluster.shard.shard_tasks import ShardTasks
from cluster.shard.stats import ShardStats
from streaming.commit import Batch
from streaming.journal import Journal
from world.genesis import new_chunk
from world.ids import HALL, AgentId, ChunkId, Tick
from world.inputs import Join, Joined, Load
from world.outputs import Output
from world.records import AgentRecord
from world.rules import Rules

SHARD = 0
FLOOR = (25, 24)


def memory_with_hall(tick: int = 10) -> ShardMemory:
    """The memory of shard 0, with ``chunk-0`` in it and nobody there."""
    memory = ShardMemory(SHARD, Rules(demo=False), 1, tick=tick)
    sides: dict[str, ChunkId | None] = {"N": None, "E": None, "S": None, "W": None}
    record = new_chunk(1, 0, None, memory.rules, Tick(tick), sides)  # type: ignore[arg-type]
    memory.world.apply(Load(record, []))
    memory.world.take()
    return memory


def stand(memory: ShardMemory, agent_id: str, cell: tuple[int, int] = FLOOR) -> None:
    """Put an agent into ``chunk-0``, close to a cell; it is in the journal already."""
    joined = memory.world.apply(Join(AgentRecord(AgentId(agent_id), HALL, 0, 0), HALL, cell))
    assert isinstance(joined, Joined)
    memory.world.take()


class KeptJournal:
    """A journal that keeps the batches instead of writing them."""

    def __init__(self) -> None:
        self.epoch = 1
        self.stalled_since: float | None = None
        self.stalled_s = 0.0
        #: What was committed.
        self.batches: list[Batch] = []
        #: Raised by the next commits instead, one each.
        self.errors: list[BaseException] = []

    async def commit(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append(batch)

    async def renew(self) -> None:
        self.epoch += 1

    @property
    def as_journal(self) -> Journal:
        return cast("Journal", self)


class Ground:
    """What most parts stand on: memory, a journal that keeps what is committed, commits."""

    def __init__(self, memory: ShardMemory | None = None) -> None:
        self.memory = memory or memory_with_hall()
        self.journal = KeptJournal()
        self.tasks = ShardTasks(SHARD)
        self.epoch = ShardEpoch(SHARD, self.journal.as_journal, refuse_after_stall_s=1.0)
        #: How often the commits have asked to go back.
        self.reloads = 0
        #: The outputs that the commits have told of.
        self.told: list[Output] = []
        self.commits = Commits(
            self.memory,
            self.journal.as_journal,
            self.epoch,
            self.tasks,
            ShardStats(),
            window_ticks=300,
            reload=self._reload,
            committed=self.told.append,
        )

    async def _reload(self) -> None:
        self.reloads += 1
        self.memory.begin_anew(self.journal.epoch)
        self.commits.next.forget()

    async def settle(self) -> None:
        """Wait until nothing runs beside."""
        while self.tasks.tasks:
            await asyncio.wait(self.tasks.tasks)


class OtherShards:
    """``ShardClient`` to shards that answer each reservation as told, and note what they are asked."""

    def __init__(self) -> None:
        #: They answer while it is set.
        self.go = asyncio.Event()
        self.go.set()
        #: By chunk; a chunk that is missing belongs to a shard that does not answer.
        self.answers: dict[str, CellAnswer] = {}
        #: What was asked of which shard.
        self.asked: list[tuple[int, object]] = []

    def shard(self, number: int, *, timeout_s: float) -> Shard:
        del timeout_s
        return cast("Shard", OtherShard(self, number))


class OtherShard:
    def __init__(self, all_: OtherShards, number: int) -> None:
        self._all = all_
        self._number = number

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        self._all.asked.append((self._number, list(requests)))
        await self._all.go.wait()
        try:
            return [self._all.answers[request.chunk_id] for request in requests]
        except KeyError:
            raise ShardUnavailable("no answer") from None

    async def release(self, releases: Sequence[CellRelease]) -> None:
        self._all.asked.append((self._number, list(releases)))
