"""What a follower's reader has missed, in the order in which it happened.  Pure.

``Follow`` gives the agent's own events first and then its surroundings, for a reader who wants to be in the present.
Who is shown it at its pace sees it as it was: by time, a commit's own events before its deltas.  What comes with a
change of the chunk keeps its order.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from streaming.cursor import Position, position_event_id
from streaming.entry import BEFORE_FIRST, Event, PrivateEvent, chunk_of
from streaming.follower import Followed


def by_time(shown: Sequence[Followed], start: Position) -> list[Followed]:
    """Return what was missed after ``start`` by time, each event with the id of the place that is reached with it."""
    found: list[Event] = []
    stretch: list[Event] = []
    arriving = False
    for event, _ in shown:
        if event.kind in ("chunk_transition", "chunk_static"):
            found += [*sorted(stretch, key=_moment), event]
            stretch, arriving = [], True
        elif arriving:
            found.append(event)
            arriving = event.kind != "chunk_delta"
        else:
            stretch.append(event)
    return _with_ids([*found, *sorted(stretch, key=_moment)], start)


def _moment(event: Event) -> tuple[int, bool]:
    return event.ts_ms, not isinstance(event, PrivateEvent)


def _with_ids(events: Sequence[Event], start: Position) -> list[Followed]:
    chunk_id, at, seq = start.chunk_id, start.at, start.agent_seq
    found: list[Followed] = []
    for event in events:
        if event.kind in ("chunk_transition", "chunk_static"):
            fields = orjson.loads(event.payload)
            chunk_id, at = fields["to_chunk_id" if event.kind == "chunk_transition" else "chunk_id"], BEFORE_FIRST
        if not event.key or event.kind == "chunk_static":
            found.append((event, None))
            continue
        if isinstance(event, PrivateEvent):
            seq = event.id[0]
        else:
            chunk_id, at = chunk_of(event), event.id
        found.append((event, position_event_id(chunk_id, at, seq)))
    return found
