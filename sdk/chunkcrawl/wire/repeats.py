"""Which events of a resumed stream have been shown before.  Pure, bounded."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeVar

from chunkcrawl.wire.messages import (
    Challenge,
    ChunkDelta,
    ChunkStatic,
    ChunkTransition,
    CommandAck,
    CommandResult,
    Event,
    PrivateDelta,
    ResyncRequired,
    SessionReady,
)

__all__ = ["SEEN_MAX", "Repeats"]

_Key = TypeVar("_Key")

#: How many are remembered; the server keeps 512 events of an agent and 300 ticks of a chunk.
SEEN_MAX: Final = 1024

_ONCE: Final = (Challenge, CommandAck, CommandResult, ChunkTransition, PrivateDelta)


class Repeats:
    """Tells repeats from news over any number of connections.

    Agent-scoped events are known by their event id, deltas by chunk and tick.  Openings (``session_ready``,
    ``chunk_static``) are never repeats, nor is the first delta after one: it is the present state.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._ticks: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._state_is_next = True

    def is_repeat(self, event: Event) -> bool:
        """Return whether the event was seen before; it counts as seen from now on."""
        if isinstance(event, ChunkDelta):
            return self._is_old_delta(event)
        if isinstance(event, SessionReady | ChunkStatic | ResyncRequired):
            self._state_is_next = True
            if isinstance(event, ResyncRequired):
                # Where history was lost, its numbers may be given out again, to other events.
                self._seen.clear()
        elif event.event_id and isinstance(event, _ONCE):
            return _remember(self._seen, (event.type, event.event_id))
        return False

    def _is_old_delta(self, delta: ChunkDelta) -> bool:
        at = (delta.chunk_id, delta.tick)
        if not self._state_is_next:
            return _remember(self._ticks, at)
        self._state_is_next = False
        if any(chunk_id == delta.chunk_id and tick > delta.tick for chunk_id, tick in self._ticks):
            # Ticks only ever rise within a chunk: this is a world put back from a backup, and its ticks come again.
            self._ticks.clear()
        _remember(self._ticks, at)
        return False


def _remember(seen: OrderedDict[_Key, None], key: _Key) -> bool:
    known = key in seen
    seen[key] = None
    seen.move_to_end(key)
    if len(seen) > SEEN_MAX:
        seen.popitem(last=False)
    return known
