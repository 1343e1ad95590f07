"""What happened in a chunk of late, as far as its stream still has it: events, and where everybody walked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from streaming import keys
from streaming.entry import BadEntry, Entry, from_stream

__all__ = ["Recent", "read_recent"]

#: The replay window, and what one answer may cost.
ENTRIES_MAX: Final = 600
BYTES_MAX: Final = 4 * 1024 * 1024
PAGE: Final = 64
#: Deltas read in one turn of the loop; all of them in one would keep everybody waiting for a tenth of a second.
READ_AT_ONCE: Final = 16
EVENTS_MAX: Final = 500
AGENTS_MAX: Final = 200


@dataclass(slots=True)
class Recent:
    """What happened between two ticks, oldest first."""

    chunk_id: str
    from_tick: int | None = None
    to_tick: int | None = None
    #: Each with its tick, its number in it, and when it was, in milliseconds.
    events: list[dict[str, Any]] = field(default_factory=list)
    #: By agent: tick, x and y, whenever it stood somewhere else than before.
    trails: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)

    def add(self, delta: dict[str, Any], ts_ms: int) -> None:
        """Add what a delta, later than all before it, shows."""
        tick = int(delta["tick"])
        self.from_tick = tick if self.from_tick is None else self.from_tick
        self.to_tick = tick
        events = enumerate(delta.get("events", ()))
        self.events += [{"tick": tick, "index": index, "at": ts_ms, "event": event} for index, event in events]
        del self.events[:-EVENTS_MAX]
        for agent in delta.get("agents", ()):
            if agent["id"] not in self.trails and len(self.trails) >= AGENTS_MAX:
                continue
            trail = self.trails.setdefault(agent["id"], [])
            if not trail or trail[-1][1:] != (agent["x"], agent["y"]):
                trail.append((tick, agent["x"], agent["y"]))


async def read_recent(redis: Redis, chunk_id: str) -> Recent:
    """Return what the chunk's stream has; nothing for one that has none.  Raises ``RedisError``."""
    recent = Recent(chunk_id)
    for number, entry in enumerate(reversed(await _newest(redis, chunk_id)), 1):
        if number % READ_AT_ONCE == 0:
            await asyncio.sleep(0)
        if entry.kind == "chunk_delta":
            recent.add(entry.fields(), entry.ts_ms)
    return recent


async def _newest(redis: Redis, chunk_id: str) -> list[Entry]:
    """Return the newest entries, newest first: page by page, so that nobody waits long for Redis."""
    key = keys.chunk_stream(chunk_id)
    found: list[Entry] = []
    size, end = 0, "+"
    while len(found) < ENTRIES_MAX and size < BYTES_MAX:
        page: Any = await redis.xrevrange(key, end, "-", count=PAGE)
        for id_, fields in page:
            size += len(fields[b"m"])
            try:
                found.append(from_stream(key, id_, fields[b"m"]))
            except BadEntry:
                return found
        if len(page) < PAGE:
            break
        end = f"({page[-1][0].decode()}"
    return found
