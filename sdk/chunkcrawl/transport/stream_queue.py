"""A bounded queue of events for one listener; what gives way when it is full is a rule, not an accident."""

from __future__ import annotations

import asyncio
from collections import deque

from chunkcrawl.wire.messages import ChunkDelta, Event, Heartbeat

__all__ = ["EventQueue"]


class EventQueue:
    """Events for one listener, at most ``limit`` of them.

    When it is full, the oldest delta or heartbeat gives way, since the next delta holds the whole state again; chat and
    other happenings inside a dropped delta are lost to this listener.  Only when it holds nothing of that kind does the
    oldest event of all go.  ``dropped`` counts both.  The view is fed before the queue and misses nothing.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError("limit must be at least 1")
        self.limit = limit
        self.dropped = 0
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._end: BaseException | None = None
        self._ended = False

    def put(self, event: Event) -> None:
        """Add an event, never waiting."""
        if self._ended:
            return
        if len(self._events) >= self.limit:
            self._make_room()
        self._events.append(event)
        self._news.set()

    def end(self, error: BaseException | None = None) -> None:
        """End the iteration: it gives what is left, then raises ``error`` or just ends."""
        self._ended, self._end = True, error
        self._news.set()

    def __aiter__(self) -> EventQueue:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._ended:
                raise self._end or StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    def _make_room(self) -> None:
        self.dropped += 1
        for place, event in enumerate(self._events):
            if isinstance(event, ChunkDelta | Heartbeat):
                del self._events[place]
                return
        self._events.popleft()
