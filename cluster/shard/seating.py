"""Bringing agents into this shard's chunks when they connect."""

from __future__ import annotations

import time
from collections.abc import Container
from typing import TYPE_CHECKING

import orjson

from cluster.messages import JoinAnswer
from streaming import keys
from streaming.commit import Batch
from streaming.connect import text
from world.ids import AgentId, ChunkId
from world.inputs import Join, Joined
from world.records import AgentRecord

if TYPE_CHECKING:
    from cluster.shard.runtime import ShardRuntime


class Seating:
    """Joins, and when each agent last joined (so that a sweep that began earlier leaves it alone)."""

    def __init__(self, runtime: ShardRuntime) -> None:
        self._rt = runtime
        self.joined_at: dict[str, float] = {}

    async def join(self, agent_id: str, chunk_id: str) -> JoinAnswer:
        """Seat an agent whose record already names ``chunk_id``; an agent that is here stays as it is.

        Raises:
            ShardUnavailable, WorldReloaded: it was not seated.
        """
        rt = self._rt
        rt.check_open()
        if not await rt.loader.ensure(chunk_id):
            return JoinAnswer("gone")
        await rt.arrivals.seat()
        self.joined_at[agent_id] = time.monotonic()
        await rt.commits.flush()  # an agent that has just left: its record is in Redis now
        bound, found = await rt.redis.hmget(keys.agent(agent_id), ["chunk", "rec"])
        present = rt.world.agent(AgentId(agent_id))
        if present is not None:
            await rt.commits.flush()
            return JoinAnswer("here", present.chunk_id)
        if bound is None or text(bound) != chunk_id:
            return JoinAnswer("gone")  # it has crossed, or another gateway has claimed a seat for it
        known = AgentRecord.from_json(orjson.loads(found)) if found else None
        record, near = joining_record(agent_id, chunk_id, known)
        seated = rt.world.apply(Join(record, ChunkId(chunk_id), near))
        if not isinstance(seated, Joined):
            return JoinAnswer("full" if seated.reason == "chunk_full" else "gone")
        rt.commits.extra.append(lambda batch: batch.only_if_bound(agent_id, chunk_id))
        rt.commits.extra.append(lambda batch: placed_event(batch, agent_id, chunk_id, seated, rt.tick))
        await rt.commits.flush()
        return JoinAnswer("seated", ChunkId(chunk_id))

    def forget_all_but(self, agent_ids: Container[AgentId]) -> None:
        """Drop the times of those who have gone elsewhere."""
        for agent_id in [agent_id for agent_id in self.joined_at if AgentId(agent_id) not in agent_ids]:
            del self.joined_at[agent_id]


def joining_record(
    agent_id: str, chunk_id: str, known: AgentRecord | None
) -> tuple[AgentRecord, tuple[int, int] | None]:
    """The record to join with, and the cell to come back near to: what it owns is kept."""
    if known is None:
        return AgentRecord(AgentId(agent_id), ChunkId(chunk_id), 0, 0), None
    return known, (known.x, known.y) if known.chunk_id == chunk_id else None


def placed_event(batch: Batch, agent_id: str, chunk_id: str, seated: Joined, tick: int) -> None:
    """Tell the followers of an agent where it has appeared."""
    payload = {"agent_id": agent_id, "chunk_id": chunk_id, "x": seated.x, "y": seated.y, "tick": tick}
    batch.agent_event(agent_id, "agent_placed", f"tick-{tick}", orjson.dumps(payload))
