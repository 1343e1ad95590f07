"""Functions that are called for events, beside the iterator of ``Agent.events``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from chunkcrawl.wire.messages import ChunkDelta, Event

__all__ = ["Callback", "Callbacks"]

log = logging.getLogger("chunkcrawl.client")

#: Takes an event, or one of a delta's ``events``; what it returns is waited for in the background if it can be.
Callback: TypeAlias = Callable[[Any], Coroutine[Any, Any, object] | object]

#: So many calls of a coroutine function may be under way; what happens meanwhile passes it by.
RUNNING_MAX: Final = 64


class Callbacks:
    """Calls functions for events, in the order in which they were registered.

    A function that raises is logged and called again the next time.  A coroutine function runs beside the connection;
    when ``RUNNING_MAX`` of its calls are not over, further events pass it by, and the first of them is logged.
    """

    def __init__(self) -> None:
        self._of: dict[str | type[Event], list[Callback]] = {}
        self._running: dict[Callback, set[asyncio.Task[object]]] = {}
        self._passed_by: dict[Callback, int] = {}

    def add(self, what: str | type[Event], callback: Callback) -> Callable[[], None]:
        """Register a function; returns one that takes it away again, any number of times.

        Args:
            what: A class of event (``Event`` for all of them), an event's name on the wire (``chunk_transition``), or
                that of something that happens in a chunk (``chat``, ``agent_joined``, ``blocked``, ...).
            callback: Gets the event, or for what happens in a chunk the entry of the delta's ``events``.
        """
        self._of.setdefault(what, []).append(callback)

        def take_away() -> None:
            found = self._of.get(what, [])
            if callback in found:
                found.remove(callback)

        return take_away

    def call(self, event: Event) -> None:
        """Call what was registered for an event and for what it says happened."""
        if not self._of:
            return
        for base in type(event).__mro__:
            for callback in tuple(self._of.get(base, ())):
                self._call(callback, event)
        for callback in tuple(self._of.get(event.type, ())):
            self._call(callback, event)
        if isinstance(event, ChunkDelta):
            for happened in event.events:
                for callback in tuple(self._of.get(str(happened.get("type")), ())):
                    self._call(callback, happened)

    def _call(self, callback: Callback, what: Any) -> None:
        running = self._running.setdefault(callback, set())
        if len(running) >= RUNNING_MAX:
            self._passed_by[callback] = self._passed_by.get(callback, 0) + 1
            if self._passed_by[callback] == 1:
                log.warning("%s has %d calls under way, events pass it by", _name(callback), RUNNING_MAX)
            return
        try:
            result = callback(what)
        except Exception:
            log.exception("%s failed", _name(callback))
            return
        if asyncio.iscoroutine(result):
            task = asyncio.get_running_loop().create_task(result, name=f"callback {_name(callback)}")
            running.add(task)
            task.add_done_callback(lambda done: self._over(callback, done))

    def _over(self, callback: Callback, task: asyncio.Task[object]) -> None:
        self._running[callback].discard(task)
        self._passed_by.pop(callback, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", _name(callback), exc_info=error)

    async def close(self) -> None:
        """Cancel what is under way, and wait for it."""
        tasks = [task for running in self._running.values() for task in running if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _name(callback: Callback) -> str:
    return getattr(callback, "__qualname__", repr(callback))
