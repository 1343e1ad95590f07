"""A chunk's present state for whoever starts, or starts again, to look at it: its static and its last delta.

Both are read in one script, so they are of one moment.  A delta holds the whole state of what moves, so the two
together are all there is to see.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis.asyncio import Redis

from streaming import keys
from streaming.entry import BadEntry, SharedEvent, StreamId, from_stream
from streaming.lua import load, run
from streaming.shared_clock import now_ms

#: Chunks whose last snapshot is kept.  A snapshot is some 10 KB.
CACHED_CHUNKS: Final = 512

READ: Final = load("streaming/snapshot.lua")


@dataclass(frozen=True, slots=True)
class ChunkSnapshot:
    """``static`` and ``latest`` are of one moment.  ``latest`` is None for a chunk that has no delta yet."""

    chunk_id: str
    static: SharedEvent
    latest: SharedEvent | None
    digest: bytes

    @property
    def at(self) -> StreamId | None:
        """The place of a reader that has been shown this."""
        return self.latest.id if self.latest is not None else None

    def json(self) -> bytes:
        """Return ``{"chunk_static": ..., "latest_delta": ...}``, as ``GET /v1/chunks/{chunk_id}/snapshot`` answers."""
        latest = self.latest.payload if self.latest is not None else b"null"
        return b'{"chunk_static":' + self.static.payload + b',"latest_delta":' + latest + b"}"


class Snapshots:
    """Reads snapshots through one client; many readers of one chunk at once cost one read."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._cached: OrderedDict[str, ChunkSnapshot] = OrderedDict()
        self._reading: dict[str, asyncio.Task[ChunkSnapshot | None]] = {}

    async def get(self, chunk_id: str, at_least: StreamId | None = None) -> ChunkSnapshot | None:
        """Return the chunk's state at ``at_least`` or later, with None as it is now; None: there is no such chunk.

        A reader that is subscribed passes its subscription's ``head``: then a snapshot read for somebody else will
        do if it reaches that far, and nothing between the two is missed.

        Raises:
            RedisError: as redis-py raises it.
        """
        cached = self._cached.get(chunk_id)
        if cached is not None and _reaches(cached, at_least):
            return cached
        under_way = self._reading.get(chunk_id)
        if under_way is not None:
            # It began before we were asked, so it may be older than what we need.
            found = await asyncio.shield(under_way)
            if found is not None and _reaches(found, at_least):
                return found
        reading = self._reading.get(chunk_id)
        if reading is None:
            reading = asyncio.create_task(self._read(chunk_id), name="snapshot")
            self._reading[chunk_id] = reading
        # Shielded: one reader that goes away must not take the others' read with it.
        return await asyncio.shield(reading)

    async def _read(self, chunk_id: str) -> ChunkSnapshot | None:
        known = self._cached.get(chunk_id)
        last_id, digest = "", b""
        if known is not None and known.latest is not None:
            last_id, digest = f"{known.latest.id[0]}-{known.latest.id[1]}", known.digest
        static, stream = keys.chunk_static(chunk_id), keys.chunk_stream(chunk_id)
        try:
            answer = await run(self._redis, READ(static=static, stream=stream, last_id=last_id, digest=digest))
        finally:
            # Here, and not when the task is done: nobody may join a read that is over.
            self._reading.pop(chunk_id, None)
        if answer is None:
            self._cached.pop(chunk_id, None)
            return None
        if answer[0] == 1:
            return known
        snapshot = _snapshot(chunk_id, *answer[1:])
        if snapshot is not None:
            self._cached[chunk_id] = snapshot
            self._cached.move_to_end(chunk_id)
            while len(self._cached) > CACHED_CHUNKS:
                self._cached.popitem(last=False)
        return snapshot


def _reaches(snapshot: ChunkSnapshot, at_least: StreamId | None) -> bool:
    return at_least is not None and snapshot.at is not None and snapshot.at >= at_least


def _snapshot(chunk_id: str, static: bytes, digest: bytes, last: list[Any] | None) -> ChunkSnapshot | None:
    latest = None
    if last is not None:
        try:
            entry = from_stream(keys.chunk_stream(chunk_id), last[0], last[1][1])
        except BadEntry:
            return None
        if not isinstance(entry, SharedEvent) or entry.kind != "chunk_delta":
            return None  # closed
        latest = entry
    return ChunkSnapshot(chunk_id, static_event(chunk_id, static, latest), latest, digest)


def static_event(chunk_id: str, payload: bytes, latest: SharedEvent | None) -> SharedEvent:
    """Return a chunk's static as an event, the same for all readers; its trace is that of the delta beside it."""
    trace_id = latest.trace_id if latest is not None else f"static-{chunk_id}"
    return SharedEvent("chunk_static", payload, now_ms(), trace_id)


_by_client: WeakKeyDictionary[Redis, Snapshots] = WeakKeyDictionary()


def snapshots_of(redis: Redis) -> Snapshots:
    """Return the one ``Snapshots`` of a client."""
    found = _by_client.get(redis)
    if found is None:
        found = _by_client[redis] = Snapshots(redis)
    return found


async def read_snapshot(redis: Redis, chunk_id: str) -> ChunkSnapshot | None:
    """Return the chunk as it is now, None if there is none.  Raises ``RedisError``."""
    return await snapshots_of(redis).get(chunk_id)
