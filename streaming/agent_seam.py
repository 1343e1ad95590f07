"""Where an agent's stream goes on after its recording, which knows nothing of the numbers of the agent's events.

An event of the recording is found in the stream by its kind and payload, which are the same bytes.  Where none was
shown, the number is that of the last event before a moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from recordings.agent_page import Told
from streaming import keys
from streaming.entry import BadEntry, Entry, PrivateEvent, StreamId, events_of
from streaming.follower import Whereabouts, move_of
from streaming.newest_deltas import newest_upto
from streaming.shared_clock import now_ms


@dataclass(frozen=True, slots=True)
class Reached:
    """A place in an agent's stream: the number of the last event that was shown, and where that left the agent.

    ``move`` None: its stream has none up to there.
    """

    number: int
    move: Whereabouts | None = None


async def reached(redis: Redis, agent_id: str, last: Told | None, ms: int) -> Reached | None:
    """Return the place after the agent's last event that was shown; None: its stream no longer has what followed.

    Args:
        last: that event; None: none was shown, and all up to ``ms`` (Unix time) count as known.

    Raises:
        RedisError: as redis-py raises it.
    """
    stream = keys.agent_stream(agent_id)
    found: Any = await redis.xrevrange(stream, "+", "-", count=keys.AGENT_STREAM_MAXLEN)
    events: list[Entry] = []
    try:
        for id_, fields in found:
            events += reversed(events_of(stream, id_, fields[b"m"]))
    except (BadEntry, KeyError):
        return None
    for at, event in enumerate(events):
        if event.ts_ms <= ms if last is None else (event.kind, event.payload) == (last.kind, last.payload):
            moves = (move_of(one) for one in events[at:] if isinstance(one, PrivateEvent))
            return Reached(event.id[0], next((move for move in moves if move is not None), None))
    if last is not None or (events and events[-1].id[0] > 1):
        return None
    return Reached(0 if events else int(await redis.hget(keys.agent(agent_id), "seq") or 0))


async def ms_of(redis: Redis, chunk_id: str, tick: int, hz: float) -> int:
    """Return about when a tick was (Unix time), by what the chunk's stream has; without that, now."""
    known = await newest_upto(redis, chunk_id, tick) or await newest_upto(redis, chunk_id)
    return now_ms() if known is None else known.ts_ms + round((tick - known.id[0]) * 1000 / hz)


async def entry_upto(redis: Redis, chunk_id: str, tick: int) -> StreamId:
    """Return the id of the newest entry up to a tick; one that was never there if the stream was cut behind it."""
    entry = await newest_upto(redis, chunk_id, tick)
    return (tick, 0) if entry is None else entry.id
