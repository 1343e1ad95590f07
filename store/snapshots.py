"""Snapshots of chunks, thinned as they age, and the newest record of every agent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store.models import AgentSnapshot, SnapshotRow

#: State of a chunk that has been collected: its earlier snapshots must not come back.
COLLECTED: Final = "collected"

#: All of the last hour stay, then one of every ten minutes for a day, then one of every hour.
ALL_FOR: Final = timedelta(hours=1)
FINE_FOR: Final = timedelta(days=1)

# The newest one of each chunk stays whatever its age, as long as its run goes on: a chunk that rests has no other.
THIN: Final = text(
    """
WITH ranked AS (
  SELECT s.run_id, s.chunk_id, s.tick, s.taken_at, s.state ? 'collected' AS collected, r.ended_at,
    row_number() OVER (PARTITION BY s.run_id, s.chunk_id ORDER BY s.taken_at DESC, s.tick DESC) AS age_rank,
    row_number() OVER (PARTITION BY s.run_id, s.chunk_id, s.taken_at > CAST(:fine AS timestamptz), CASE
        WHEN s.taken_at > CAST(:fine AS timestamptz) THEN date_bin('10 minutes', s.taken_at, 'epoch')
        ELSE date_bin('1 hour', s.taken_at, 'epoch') END
      ORDER BY s.taken_at DESC, s.tick DESC) AS bucket_rank
  FROM snapshots s JOIN runs r ON r.run_id = s.run_id
)
DELETE FROM snapshots s USING ranked k
WHERE s.run_id = k.run_id AND s.chunk_id = k.chunk_id AND s.tick = k.tick
  AND ((k.taken_at <= CAST(:whole AS timestamptz) AND k.bucket_rank > 1 AND k.age_rank > 1)
    OR (k.taken_at <= CAST(:start AS timestamptz) AND (k.age_rank > 1 OR k.collected OR k.ended_at IS NOT NULL)))
"""
)


@dataclass(frozen=True, slots=True)
class ChunkState:
    """A chunk at a tick: what ``cluster.snapshots`` read of it, or ``{"collected": true}``."""

    chunk_id: str
    tick: int
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AgentState:
    """An agent's hash in Redis.  ``seq``: number of the last event of its stream."""

    agent_id: str
    seq: int
    state: Mapping[str, Any]


async def put(engine: AsyncEngine, run_id: str, chunks: Sequence[ChunkState], agents: Sequence[AgentState]) -> None:
    """Write one look at the world, in one transaction."""
    async with engine.begin() as connection:
        if chunks:
            await _put_chunks(connection, run_id, chunks)
        if agents:
            await _put_agents(connection, agents)


async def _put_chunks(connection: AsyncConnection, run_id: str, chunks: Sequence[ChunkState]) -> None:
    statement = insert(SnapshotRow)
    # The same tick again: after a Redis that lost its last second.
    statement = statement.on_conflict_do_update(
        index_elements=[SnapshotRow.run_id, SnapshotRow.chunk_id, SnapshotRow.tick],
        set_={"state": statement.excluded.state, "taken_at": func.now()},
    )
    rows = [{"run_id": run_id, "chunk_id": c.chunk_id, "tick": c.tick, "state": dict(c.state)} for c in chunks]
    await connection.execute(statement, rows)


async def _put_agents(connection: AsyncConnection, agents: Sequence[AgentState]) -> None:
    statement = insert(AgentSnapshot)
    statement = statement.on_conflict_do_update(
        index_elements=[AgentSnapshot.agent_id],
        set_={"seq": statement.excluded.seq, "state": statement.excluded.state, "taken_at": func.now()},
        where=statement.excluded.seq >= AgentSnapshot.seq,
    )
    await connection.execute(
        statement, [{"agent_id": a.agent_id, "seq": a.seq, "state": dict(a.state)} for a in agents]
    )


async def newest(engine: AsyncEngine, run_id: str) -> list[ChunkState]:
    """Return the newest snapshot of every chunk of the run that has not been collected, by id."""
    statement = (
        select(SnapshotRow.chunk_id, SnapshotRow.tick, SnapshotRow.state)
        .where(SnapshotRow.run_id == run_id)
        .ext(distinct_on(SnapshotRow.chunk_id))
        .order_by(SnapshotRow.chunk_id, SnapshotRow.taken_at.desc(), SnapshotRow.tick.desc())
    )
    async with engine.connect() as connection:
        found = [ChunkState(*row) for row in await connection.execute(statement)]
    return [chunk for chunk in found if COLLECTED not in chunk.state]


async def agents(engine: AsyncEngine) -> list[AgentState]:
    """Return the newest record of every agent."""
    statement = select(AgentSnapshot.agent_id, AgentSnapshot.seq, AgentSnapshot.state).order_by(AgentSnapshot.agent_id)
    async with engine.connect() as connection:
        return [AgentState(*row) for row in await connection.execute(statement)]


async def forget_agents(engine: AsyncEngine, agent_ids: Collection[str]) -> None:
    """Let the next record of these agents count, whatever its number: theirs is of what was undone."""
    async with engine.begin() as connection:
        await connection.execute(update(AgentSnapshot).where(AgentSnapshot.agent_id.in_(agent_ids)).values(seq=0))


async def thin(engine: AsyncEngine, now: datetime, keep: timedelta) -> int:
    """Delete what is too dense for its age or older than ``keep``; returns how many.

    Of the last hour all stay, of the day before one of every ten minutes, of what is older one of every hour.  The
    newest of a chunk stays whatever its age while its run goes on.
    """
    times = {"whole": now - ALL_FOR, "fine": now - FINE_FOR, "start": now - keep}
    async with engine.begin() as connection:
        return int((await connection.execute(THIN, times)).rowcount)
