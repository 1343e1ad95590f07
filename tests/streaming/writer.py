"""Writes stream entries as the journal does, for tests of the reading side."""

from __future__ import annotations

from typing import Any

import orjson
from redis.asyncio import Redis

from streaming import keys
from streaming.entry import Entry, StreamId, events_of, format_stream_id, from_stream

APPEND = """
redis.call('XADD', KEYS[1], 'MINID', '=', ARGV[3], ARGV[1], 'm', ARGV[2])
redis.call('PUBLISH', CHANNELS .. KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
"""
APPEND_UNHEARD = "redis.call('XADD', KEYS[1], 'MINID', '=', ARGV[3], ARGV[1], 'm', ARGV[2])"


def message(prev: StreamId, kind: str, payload: dict[str, Any], ts_ms: int = 1_000, trace: str = "t-1") -> bytes:
    return f"{format_stream_id(prev)} {kind} {ts_ms} {trace}\n".encode() + orjson.dumps(payload)


def delta(
    chunk_id: str,
    id_: StreamId,
    prev: StreamId,
    agents: tuple[str, ...] = (),
    *,
    ts_ms: int = 1_000,
    kind: str = "chunk_delta",
) -> Entry:
    payload = delta_payload(chunk_id, id_[0], agents) if kind == "chunk_delta" else {"chunk_id": chunk_id}
    return from_stream(keys.chunk_stream(chunk_id), format_stream_id(id_).encode(), message(prev, kind, payload, ts_ms))


def delta_payload(chunk_id: str, tick: int, agents: tuple[str, ...] = ()) -> dict[str, Any]:
    shown = [{"id": agent, "x": 1, "y": 1, "activity_state": "idle"} for agent in agents]
    return {"chunk_id": chunk_id, "tick": tick, "agents": shown, "npcs": [], "resources": [], "events": []}


def agent_event(agent_id: str, n: int, kind: str, **payload: Any) -> Entry:
    return from_stream(
        keys.agent_stream(agent_id), f"{n}-0".encode(), message((n - 1, 0), kind, {"agent_id": agent_id} | payload)
    )


def events_in(key: str, entries: Any) -> list[Entry]:
    """The events of entries as ``XRANGE`` gives them."""
    return [event for id_, fields in entries for event in events_of(key, id_, fields[b"m"])]


async def read_events(redis: Any, agent_id: str) -> list[Entry]:
    """All events of an agent's stream."""
    key = keys.agent_stream(agent_id)
    return events_in(key, await redis.xrange(key))


async def cut_pubsub(redis: Redis) -> None:
    """Cut every Pub/Sub connection at the server."""
    await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]


class Writer:
    """One chunk's or agent's stream, written entry by entry."""

    def __init__(self, redis: Redis, key: str, *, window: int = 300) -> None:
        self.redis = redis
        self.key = key
        self.window = window
        self.last: StreamId = (0, 0)

    async def add(self, id_: StreamId, kind: str, payload: dict[str, Any], *, heard: bool = True) -> StreamId:
        """Append and publish; with ``heard`` False only append, as if the message had been lost."""
        body = message(self.last, kind, payload)
        minid = f"{max(0, id_[0] - self.window)}-0"
        script = APPEND if heard else APPEND_UNHEARD
        await self.redis.eval(script, 1, self.key, format_stream_id(id_), body, minid)
        self.last = id_
        return id_


class ChunkWriter(Writer):
    """A chunk that exists (its static, its hash) and whose deltas are written one tick after the other."""

    def __init__(self, redis: Redis, chunk_id: str = "chunk-0", *, window: int = 300) -> None:
        super().__init__(redis, keys.chunk_stream(chunk_id), window=window)
        self.chunk_id = chunk_id

    async def create(self) -> None:
        static = {"chunk_id": self.chunk_id, "size": {"w": 50, "h": 50}, "neighbors": {"N": None}, "tick_base": 0}
        await self.redis.set(keys.chunk_static(self.chunk_id), orjson.dumps(static))
        await self.redis.hset(keys.chunk(self.chunk_id), mapping={"shard": 0, "number": 0})
        await self.redis.sadd("chunks", self.chunk_id)

    async def tick(
        self, tick: int | None = None, agents: tuple[str, ...] = (), *, seq: int = 0, heard: bool = True
    ) -> StreamId:
        at = self.last[0] + 1 if tick is None else tick
        return await self.add((at, seq), "chunk_delta", delta_payload(self.chunk_id, at, agents), heard=heard)

    async def close(self) -> None:
        at = (self.last[0] + 1, 0)
        await self.add(at, "chunk_closed", {"chunk_id": self.chunk_id, "tick": at[0]})
        await self.redis.delete(keys.chunk_static(self.chunk_id), keys.chunk(self.chunk_id), self.key)


class AgentWriter(Writer):
    """An agent's stream and the fields of its record that the reading side looks at."""

    def __init__(self, redis: Redis, agent_id: str) -> None:
        super().__init__(redis, keys.agent_stream(agent_id), window=10**9)
        self.agent_id = agent_id

    async def place(self, chunk_id: str, *, here: bool = True) -> None:
        await self.redis.hset(keys.agent(self.agent_id), mapping={"chunk": chunk_id, "here": int(here)})

    async def event(self, kind: str, **payload: Any) -> StreamId:
        n = await self.redis.hincrby(keys.agent(self.agent_id), "seq", 1)
        return await self.add((n, 0), kind, {"agent_id": self.agent_id} | payload)


async def twenty_ticks(redis: Redis) -> ChunkWriter:
    """Make a chunk that has come to tick 20, and whose stream has the ticks from 6 on."""
    chunk = ChunkWriter(redis, window=14)
    await chunk.create()
    for _ in range(20):
        await chunk.tick()
    return chunk
