"""Where an agent is, what it carries and what its stream holds, read in one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from streaming import keys
from streaming.entry import BadEntry, PrivateEvent, events_of
from streaming.lua import CommandExecutor, load, run

READ: Final = load("streaming/agent_record.lua")


@dataclass(frozen=True, slots=True)
class StoredAgent:
    """An agent as Redis holds it.

    ``chunk_id`` is None while the agent is not in the world.  ``seq``: number of its last event.

    ``missed`` are its events after the number that was asked for, None if the stream can't give all of them.
    ``last_seen`` is the event with that number itself, if it is still there.  ``gold`` is what the agent carries,
    None if it never was in the world.
    """

    chunk_id: str | None
    seq: int
    gold: int | None
    missed: list[PrivateEvent] | None
    last_seen: PrivateEvent | None


async def read_agent(redis: CommandExecutor, agent_id: str, since: int | None = None) -> StoredAgent:
    """Return the record, and the events after number ``since`` (None: none of them).  Raises ``RedisError``."""
    stream = keys.agent_stream(agent_id)
    start = "" if since is None else f"{since}-0"
    call = READ(agent=keys.agent(agent_id), stream=stream, start=start)
    chunk, here, seq_text, rec, entries = await run(redis, call)
    seq = int(seq_text)
    chunk_id = chunk.decode() if here == b"1" and chunk else None
    gold = orjson.loads(rec).get("gold") if rec else None
    if since is None:
        return StoredAgent(chunk_id, seq, gold, [], None)
    missed, last_seen = _missed(stream, entries, since, seq)
    return StoredAgent(chunk_id, seq, gold, missed, last_seen)


def _missed(
    stream: str, entries: list[Any], since: int, seq: int
) -> tuple[list[PrivateEvent] | None, PrivateEvent | None]:
    try:
        events = [event for id_, fields in entries for event in events_of(stream, id_, fields[1])]
    except (BadEntry, IndexError):
        return None, None
    last_seen = next((event for event in events if event.id[0] == since), None)
    missed = [event for event in events if isinstance(event, PrivateEvent) and event.id[0] > since]
    numbers = [event.id[0] for event in missed]
    # The count first: ``since`` comes from the client, and may be any number of events ago.
    if len(numbers) != seq - since or numbers != list(range(since + 1, seq + 1)):
        return None, None
    return missed, last_seen if isinstance(last_seen, PrivateEvent) else None
