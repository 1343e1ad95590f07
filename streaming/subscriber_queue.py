"""A reader's bounded queue between the hub and its connection.

While the reader waits with nothing queued, an item may be written by ``direct`` without it: no task is woken.  Whatever
``direct`` leaves, and everything after it until the reader waits again, is queued, so the order is that of ``put``.

Putting never waits.  What happens when the reader is too slow is its policy: a watcher forgets its backlog and is
resynced (a delta holds the whole present state), an agent or an owner, who must lose nothing, is closed and replays.
Entries are shared by all readers of a channel, so a full queue costs references, not copies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from config.errors import ServerError
from streaming.gap_detector import Item

WATCHER_CAPACITY: Final = 64
FOLLOWER_CAPACITY: Final = 256

Overflow = Literal["drop_and_resync", "overflow_close"]


class Overflowed(ServerError):
    """The reader fell behind and must be closed; reconnecting replays."""

    reason = "overflowed"


class Closed(ServerError):
    """The queue was closed from outside; ``code`` is the WebSocket close code that says why."""

    reason = "closed"

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class SubscriberQueue:
    """Items for one reader, who alone calls ``take``.

    Args:
        capacity: entries held at most.
        overflow: what happens to the one that would be too many.
    """

    __slots__ = (
        "_closed",
        "_items",
        "_overflowed",
        "_waiter",
        "capacity",
        "direct",
        "dropped",
        "heartbeat_due",
        "on_overflow",
        "overflow",
    )

    def __init__(self, capacity: int = WATCHER_CAPACITY, overflow: Overflow = "drop_and_resync") -> None:
        self.capacity = capacity
        self.overflow: Overflow = overflow
        self.heartbeat_due = False
        self.dropped = 0
        #: Called at an overflow with policy ``overflow_close``: a reader that is stuck in sending takes nothing.
        self.on_overflow: Callable[[], None] | None = None
        #: Called with an item while the reader waits with nothing queued; True: it is dealt with, and not queued.  Must
        #: not raise.
        self.direct: Callable[[Item], bool] | None = None
        self._items: list[Item] = []
        self._waiter: asyncio.Future[None] | None = None
        self._closed: Closed | None = None
        self._overflowed = False

    def __len__(self) -> int:
        return len(self._items)

    # -- for the hub and the registry --

    def put(self, item: Item) -> None:
        """Add an item, or do what the policy says when there is no room."""
        direct, waiter = self.direct, self._waiter
        # A waiter that is done has been woken, for something that comes first.
        if direct is not None and waiter is not None and not waiter.done() and direct(item):
            return
        if self._overflowed:
            self.dropped += 1
            return
        items = self._items
        if len(items) >= self.capacity:
            self.dropped += len(items) + 1
            self._overflowed = True
            items.clear()
            if self.on_overflow is not None and self.overflow == "overflow_close":
                self.on_overflow()
        else:
            items.append(item)
        if self._waiter is not None:
            self._wake()

    def beat(self) -> bool:
        """Note that a heartbeat is due.  Return False if the last one was not even taken: the reader does not read."""
        was_due, self.heartbeat_due = self.heartbeat_due, True
        self._wake()
        return not was_due

    def close(self, code: int, reason: str) -> None:
        """Make ``take`` raise ``Closed``; the first reason stands."""
        if self._closed is None:
            self._closed = Closed(code, reason)
        self._wake()

    @property
    def closed(self) -> Closed | None:
        """What ``take`` raises once the queue was closed; None before."""
        return self._closed

    @property
    def overflowed(self) -> bool:
        """Whether an overflow has not been told to the reader yet."""
        return self._overflowed

    def forget(self) -> None:
        """Drop what is queued, an overflow too: the reader is about to read the stream itself."""
        self._items.clear()
        self._overflowed = False

    def unsubscribed(self, key: str) -> None:
        """Drop what is queued of ``key``, which the reader no longer follows."""
        self._items[:] = [item for item in self._items if item.key != key]

    # -- for the reader --

    async def take(self) -> list[Item] | None:
        """Wait for something, and return everything queued, oldest first.

        Empty: a heartbeat is due.  None: an overflow with policy ``drop_and_resync``; entries before this call are
        lost, those after it will come.

        Raises:
            Overflowed: an overflow with policy ``overflow_close``.
            Closed: ``close`` was called.
        """
        while True:
            if self._closed is not None:
                raise self._closed
            if self._overflowed:
                if self.overflow == "overflow_close":
                    raise Overflowed
                self._overflowed = False
                return None
            if self._items:
                items, self._items = self._items, []
                return items
            if self.heartbeat_due:
                return []
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
