"""One channel of the hub: who follows it, and how far it has got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from config.errors import TryAgain
from streaming.entry import StreamId
from streaming.gap_detector import GapDetector, Item

Sink = Callable[[Item], None]
ControlSink = Callable[[bytes | None], None]


class HubUnavailable(TryAgain):
    """Redis can't be reached now; the reader should come back."""

    reason = "hub_unavailable"


class Leaving(Protocol):
    """The part of the hub that a subscription needs."""

    ready_timeout_s: float

    def leave(self, channel: Channel, subscription: Subscription) -> None:
        """Take the subscription out of its channel."""


class Subscription:
    """One reader's place in one channel.  ``close`` is immediate, and may be called twice."""

    __slots__ = ("_channel", "_hub", "sink")

    def __init__(self, hub: Leaving, channel: Channel, sink: Sink | ControlSink) -> None:
        self._hub = hub
        self._channel: Channel | None = channel
        self.sink = sink

    async def ready(self, timeout_s: float | None = None) -> None:
        """Wait until everything published from now on will be delivered.

        What is read from the stream after this, joined by id with what is delivered, has no gap.

        Raises:
            HubUnavailable: not within ``timeout_s`` (None: the hub's ``ready_timeout_s``).
        """
        timeout_s = self._hub.ready_timeout_s if timeout_s is None else timeout_s
        channel = self._channel
        if channel is None:
            raise HubUnavailable("closed")
        if channel.in_force.is_set():
            return
        try:
            async with asyncio.timeout(timeout_s):
                await channel.in_force.wait()
        except TimeoutError:
            raise HubUnavailable(f"no subscription within {timeout_s} s") from None

    @property
    def head(self) -> StreamId | None:
        """Id of the newest entry that the hub has handed on here; what a reader reads must reach at least this."""
        channel = self._channel
        return channel.detector.last if channel is not None and channel.detector is not None else None

    def close(self) -> None:
        """End the subscription; nothing is delivered to it any more."""
        channel, self._channel = self._channel, None
        if channel is not None:
            self._hub.leave(channel, self)


class Channel:
    """One channel: its subscribers, and the order of its stream (None for control channels)."""

    __slots__ = (
        "_members",
        "detector",
        "filling",
        "fruitless",
        "in_force",
        "key",
        "name",
        "sinks",
        "started",
        "unacked",
    )

    def __init__(self, key: str, *, stream: bool) -> None:
        self.key = key
        self.name = key.encode()
        self.detector = GapDetector(key) if stream else None
        self.in_force = asyncio.Event()
        #: The stream's head was read once: from then on somebody may have a place in it.
        self.started = False
        self.filling = False
        #: Readings of the stream in a row that have brought nothing although something was missing.
        self.fruitless = 0
        #: Replaced, never changed, so that a delivery can go through it while subscribers come and go.
        self.sinks: tuple[Any, ...] = ()
        self._members: dict[Subscription, None] = {}
        self.unacked = 0

    def join(self, subscription: Subscription) -> None:
        """Add a subscriber."""
        self._members[subscription] = None
        self.sinks = tuple(member.sink for member in self._members)

    def leave(self, subscription: Subscription) -> bool:
        """Take a subscriber out; return whether nobody is left."""
        if self._members.pop(subscription, self) is self:
            return False
        self.sinks = tuple(member.sink for member in self._members)
        return not self._members

    def renew(self) -> None:
        """Begin anew for a first subscriber, after all others had left."""
        if self.detector is not None:
            self.detector = GapDetector(self.key)
        self.started = self.filling = False
        self.fruitless = 0
        self.in_force.clear()
