"""Bringing agents into this shard's chunks when they connect."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence

import orjson
from redis.asyncio import Redis

from cluster.messages import JoinAnswer, JoinRequest
from cluster.shard.arrivals import Arrivals
from cluster.shard.commits import Commits
from cluster.shard.loading import ChunkLoader
from cluster.shard.memory import ShardMemory
from cluster.shard.shard_epoch import ShardEpoch
from streaming import keys
from streaming.connect import as_text
from world.ids import AgentId, ChunkId
from world.inputs import Join, Joined
from world.records import AgentRecord


class Seating:
    """Joins."""

    def __init__(
        self,
        redis: Redis,
        memory: ShardMemory,
        epoch: ShardEpoch,
        loader: ChunkLoader,
        arrivals: Arrivals,
        commits: Commits,
    ) -> None:
        self._redis = redis
        self._memory = memory
        self._epoch = epoch
        self._loader = loader
        self._arrivals = arrivals
        self._commits = commits
        #: When each agent last joined, so that a sweep that began earlier leaves it alone.
        self.joined_at: dict[str, float] = {}

    async def join(self, joins: Sequence[JoinRequest]) -> list[JoinAnswer]:
        """Seat agents whose records already name their chunks; an agent that is here stays as it is.

        All of them share one look at their records and one commit.

        Raises:
            ShardUnavailable, WorldReloaded: none of them was seated.
        """
        self._epoch.check_open()
        owned = {chunk_id for chunk_id in {join.chunk_id for join in joins} if await self._loader.ensure(chunk_id)}
        await self._arrivals.seat()
        now = time.monotonic()
        self.joined_at.update({join.agent_id: now for join in joins if join.chunk_id in owned})
        await self._commits.flush()  # agents that have just left: their records are in Redis now
        pipe = self._redis.pipeline(transaction=False)
        for join in joins:
            pipe.hmget(keys.agent(join.agent_id), ["chunk", "rec"])
        found = await pipe.execute()
        answers = [
            self._join(join, bound, record) if join.chunk_id in owned else JoinAnswer("gone")
            for join, (bound, record) in zip(joins, found, strict=True)
        ]
        if any(answer.outcome in ("here", "seated") for answer in answers):
            await self._commits.gather(len(answers))
        return answers

    def _join(self, join: JoinRequest, bound: bytes | None, found: bytes | None) -> JoinAnswer:
        """Seat one agent, whose record binds it to a chunk; the caller commits."""
        agent_id, chunk_id = join.agent_id, join.chunk_id
        present = self._memory.world.agent(agent_id)
        if present is not None:
            return JoinAnswer("here", present.chunk_id)
        if bound is None or as_text(bound) != chunk_id:
            return JoinAnswer("gone")  # it has crossed, or another gateway has claimed a seat for it
        known = AgentRecord.from_json(orjson.loads(found)) if found else None
        record, near = joining_record(agent_id, chunk_id, known)
        seated = self._memory.world.apply(Join(record, chunk_id, near))
        if not isinstance(seated, Joined):
            return JoinAnswer("full" if seated.reason == "chunk_full" else "gone")
        self._commits.next.additions.only_if_bound(agent_id, chunk_id)
        self._commits.next.placed(agent_id, chunk_id, seated.x, seated.y)
        return JoinAnswer("seated", chunk_id)

    def forget_all_but(self, agent_ids: Container[AgentId]) -> None:
        """Drop the times of those who have gone elsewhere."""
        for agent_id in [agent_id for agent_id in self.joined_at if AgentId(agent_id) not in agent_ids]:
            del self.joined_at[agent_id]


def joining_record(
    agent_id: str, chunk_id: str, known: AgentRecord | None
) -> tuple[AgentRecord, tuple[int, int] | None]:
    """Return the record to join with, and the cell to come back near to: what it owns is kept."""
    if known is None:
        return AgentRecord(AgentId(agent_id), ChunkId(chunk_id), 0, 0), None
    return known, (known.x, known.y) if known.chunk_id == chunk_id else None
