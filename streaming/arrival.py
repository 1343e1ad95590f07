"""What a chunk shows of an agent's arrival: its static, and its deltas from about then on."""

from __future__ import annotations

from typing import Any, Final

from redis.asyncio import Redis

from streaming import keys
from streaming.entry import BadEntry, SharedEvent, from_stream
from streaming.snapshot import static_event

#: Shards' clocks may differ: how many ticks before the transition's a chunk's delta may already show the agent.
ARRIVAL_SLACK_TICKS: Final = 10
ARRIVAL_DELTAS: Final = 256


async def read_arrival(redis: Redis, chunk_id: str, tick: int | None) -> tuple[SharedEvent | None, list[SharedEvent]]:
    """Return the chunk's static (None: the chunk is gone) and its deltas since about ``tick``, oldest first.

    ``tick`` None: when the agent came is not known, only the newest delta is read.  Raises ``RedisError``.
    """
    stream = keys.chunk_stream(chunk_id)
    pipe = redis.pipeline(transaction=True)
    pipe.get(keys.chunk_static(chunk_id))
    pipe.xrevrange(stream, "+", "-", count=1)
    if tick is not None:
        pipe.xrange(stream, f"{max(0, tick - ARRIVAL_SLACK_TICKS)}-0", "+", count=ARRIVAL_DELTAS)
    static, newest, *since = await pipe.execute()
    if static is None:
        return None, []
    deltas = _shared(stream, since[0] if since else [])
    for delta in _shared(stream, newest):
        if not deltas or deltas[-1].id < delta.id:
            # A clock far behind, or more deltas than were read: the newest shows where the agent is now.
            deltas.append(delta)
    return static_event(chunk_id, static, deltas[-1] if deltas else None), deltas


def _shared(stream: str, answer: list[Any]) -> list[SharedEvent]:
    found = []
    for id_, fields in answer:
        try:
            entry = from_stream(stream, id_, fields[b"m"])
        except (BadEntry, KeyError):
            continue
        if isinstance(entry, SharedEvent):
            found.append(entry)
    return found
