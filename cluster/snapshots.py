"""Snapshots: once a minute every chunk that has changed, and every agent's record, into PostgreSQL.

A chunk is read in one script with the agents in it, so a snapshot is of one moment; different chunks are of different
moments, which ``operations.rebuild`` puts right.  A chunk that was collected gets a mark, so that it stays collected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.chunk_dump import agent_ids_of, chunk_dump, pairs
from cluster.graph import chunk_names
from cluster.world_run import ensure_run
from config.settings import default
from store import snapshots
from store.snapshots import COLLECTED, AgentState, ChunkState
from streaming import keys
from streaming.connect import as_text
from streaming.lua import load, run_all

log = structlog.get_logger(__name__)

CHUNKS_AT_ONCE: Final = 32
AGENTS_AT_ONCE: Final = 500
THIN_EVERY_S: Final = 600.0

READ: Final = load("cluster/snapshot_chunk.lua")


class Snapshotter:
    """Takes the snapshots of one world.  ``run`` for ever, ``look`` once.

    Args:
        every_s: Seconds between two looks.
        keep: How far back snapshots go.
    """

    def __init__(
        self, redis: Redis, engine: AsyncEngine, *, every_s: float = default("snapshot_interval_s"), keep: timedelta
    ) -> None:
        self._redis = redis
        self._engine = engine
        self._every_s = every_s
        self._keep = keep
        self._run: str | None = None
        self._known: dict[str, str] = {}  # chunk -> id of the entry that its last snapshot is of
        self._left: set[str] = set()  # agents that are in no chunk any more, whose last record is to be taken
        self._thinned_at = float("-inf")
        self._looked_at: float | None = None
        self.taken = 0

    def has_left(self, agent_id: str) -> None:
        """Note that an agent has left the world: no chunk's snapshot shows it, so its record is taken by itself."""
        self._left.add(agent_id)

    async def run(self) -> None:
        """Look every ``every_s`` seconds until cancelled; a lost dependency puts it off to the next look."""
        while True:
            try:
                await self.look()
                await self._thin()
            except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("snapshots_put_off", error=type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def look(self) -> int:
        """Take a snapshot of every chunk that has changed; returns how many were taken.

        Raises:
            RedisError, SQLAlchemyError, OSError: chunks not taken yet are taken by the next look.
        """
        run_id = await ensure_run(self._redis, self._engine)
        if run_id != self._run:
            await self._begin(run_id)
        names = await chunk_names(self._redis)
        taken = 0
        for first in range(0, len(names), CHUNKS_AT_ONCE):
            taken += await self._take(run_id, names[first : first + CHUNKS_AT_ONCE])
        await self._mark_collected(run_id, self._known.keys() - set(names))
        left, self._left = self._left, set()
        try:
            await self._take_agents(left)
        except BaseException:
            self._left |= left
            raise
        self.taken += taken
        self._looked_at = time.monotonic()
        return taken

    async def _begin(self, run_id: str) -> None:
        """Begin a run: read what PostgreSQL has of it, and take the records of all agents, in the world or not."""
        self._known = {
            c.chunk_id: str(c.state.get("last_id", "")) for c in await snapshots.newest(self._engine, run_id)
        }
        await self._take_agents([agent_id async for agent_id in agent_ids_of(self._redis)])
        self._run = run_id

    async def _take(self, run_id: str, names: Sequence[str]) -> int:
        answers = await run_all(self._redis, [READ(id=name, last_id=self._known.get(name, "")) for name in names])
        chunks: list[ChunkState] = []
        agents: dict[str, AgentState] = {}
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            if answer is None:
                continue
            dump = chunk_dump(answer[0])
            hashes = {as_text(id_): pairs(flat) for id_, flat in answer[1]}
            agents |= {id_: agent_state(id_, hash_) for id_, hash_ in hashes.items() if hash_}
            state = {"fields": dump.fields, "members": dump.members, "inbox": dump.inbox, "agents": hashes}
            chunks.append(ChunkState(name, dump.tick, state | {"last_id": dump.last_id, "last": dump.last}))
        await snapshots.put(self._engine, run_id, chunks, [agents[id_] for id_ in sorted(agents)])
        self._known |= {chunk.chunk_id: str(chunk.state["last_id"]) for chunk in chunks}
        return len(chunks)

    async def _mark_collected(self, run_id: str, names: Iterable[str]) -> None:
        gone = sorted(names)
        marks = [
            ChunkState(name, int(self._known[name].partition("-")[0] or 0) + 1, {COLLECTED: True}) for name in gone
        ]
        await snapshots.put(self._engine, run_id, marks, [])
        for name in gone:
            del self._known[name]

    async def _take_agents(self, names: Iterable[str]) -> None:
        wanted = sorted(names)
        for first in range(0, len(wanted), AGENTS_AT_ONCE):
            some = wanted[first : first + AGENTS_AT_ONCE]
            pipe = self._redis.pipeline(transaction=False)
            for name in some:
                pipe.hgetall(keys.agent(name))
            found = zip(some, await pipe.execute(), strict=True)
            states = [agent_state(n, {as_text(k): as_text(v) for k, v in hash_.items()}) for n, hash_ in found if hash_]
            await snapshots.put(self._engine, "", [], states)

    async def _thin(self) -> None:
        if time.monotonic() - self._thinned_at >= THIN_EVERY_S:
            await snapshots.thin(self._engine, datetime.now(UTC), self._keep)
            self._thinned_at = time.monotonic()

    def describe(self) -> dict[str, Any]:
        """Return figures for status and metrics."""
        age = None if self._looked_at is None else round(time.monotonic() - self._looked_at, 1)
        return {"snapshots": self.taken, "snapshot_age_s": age}


def agent_state(agent_id: str, fields: dict[str, str]) -> AgentState:
    """Return an agent's hash as a row."""
    return AgentState(agent_id, int(fields.get("seq", "0")), fields)
