"""The hub: one Pub/Sub connection for everything that the readers of this process follow.

The stream is what counts, Pub/Sub only says what was added: the script that appends an entry also publishes it.
The hub hands it to each subscriber of its channel, in order, in the turn of the loop in which it was read, without a
task or an encoding per reader.  A gap (a lost message, a connection made anew) is filled from the stream before
anything newer is handed on; where the stream no longer has it, subscribers get ``Resync``.

A sink is a plain function that must not block, raise, or change subscriptions; ``SubscriberQueue.put`` of
``streaming.subscriber_queue`` is the usual one.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from streaming.backfill import Backfill
from streaming.cancellable import end
from streaming.channel import Channel, ControlSink, HubUnavailable, Sink, Subscription
from streaming.entry import BadEntry, events_of_message
from streaming.namespace import namespace_of
from streaming.pubsub_connection import PubSubConnection
from streaming.retry_pause import RetryPause

__all__ = ["Hub", "HubUnavailable", "Subscription"]

log = structlog.get_logger(__name__)

RECONNECT_FIRST_S: Final = 0.05
RECONNECT_MOST_S: Final = 2.0
#: A PING goes out on the Pub/Sub connection this often; hearing nothing for two of them means that it is dead.
PING_EVERY_S: Final = 5.0
SILENT_AFTER_S: Final = 12.0
#: How long ``Subscription.ready`` waits for Redis before it gives up.
READY_TIMEOUT_S: Final = 8.0
SUBSCRIBE_AT_ONCE: Final = 512


class Hub:
    """The subscriptions of this process and the connection that serves them.

    ``start`` in a running loop, ``close`` at the end.

    Args:
        redis: a client of ``streaming.connect`` for the streams; the Pub/Sub connection is made with the same settings.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._namespace = namespace_of(redis)
        self._channels: dict[bytes, Channel] = {}
        self._connection: PubSubConnection | None = None
        self._outbox: list[tuple[str, bytes]] = []
        self._outbox_due = asyncio.Event()
        self._backfill = Backfill(redis)
        self._heard_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()
        self.ready_timeout_s = READY_TIMEOUT_S
        # Counters, for the metrics page.
        self.messages = 0
        self.deliveries = 0
        self.gaps = 0
        self.reconnects = 0
        self._bad_messages = 0

    # -- for readers --

    def subscribe(self, key: str, sink: Sink) -> Subscription:
        """Follow the stream ``key`` through its channel.  Await ``ready`` before reading the stream."""
        return self._join(key, sink, stream=True)

    def listen(self, key: str, sink: ControlSink) -> Subscription:
        """Follow a control channel, which has no stream.  ``sink(None)``: messages may have been lost."""
        return self._join(key, sink, stream=False)

    @property
    def channel_count(self) -> int:
        """Channels that are followed."""
        return len(self._channels)

    @property
    def subscriber_count(self) -> int:
        """Subscriptions to all channels."""
        return sum(len(channel.sinks) for channel in self._channels.values())

    def readers_of(self, prefix: str, most: int) -> dict[str, int]:
        """Return how many follow the streams whose names begin so, by the rest of the name; those with the most."""
        start = prefix.encode()
        found = [(len(channel.sinks), name) for name, channel in self._channels.items() if name.startswith(start)]
        return {name[len(start) :].decode(): count for count, name in heapq.nlargest(most, found) if count}

    @property
    def resyncs(self) -> int:
        """Holes that the stream no longer had."""
        return self._backfill.resyncs

    @property
    def bad_entries(self) -> int:
        """Messages and entries that were no event."""
        return self._bad_messages + self._backfill.bad_entries

    # -- start and stop --

    def start(self) -> None:
        """Begin to listen; needs a running loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="hub")

    async def close(self) -> None:
        """End the connection and all reading."""
        task, self._task = self._task, None
        if task is not None:
            await end(task)

    # -- joining and leaving --

    def _join(self, key: str, sink: Sink | ControlSink, *, stream: bool) -> Subscription:
        name = key.encode()
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(key, stream=stream)
        first = not channel.sinks
        subscription = Subscription(self, channel, sink)
        channel.join(subscription)
        if first:
            channel.renew()
            if self._connection is not None:
                self._say("SUBSCRIBE", channel)
        return subscription

    def leave(self, channel: Channel, subscription: Subscription) -> None:
        """Take a subscription out; the last one of a channel ends the channel."""
        if channel.leave(subscription) and self._channels.get(channel.name) is channel:
            # A channel whose UNSUBSCRIBE is not yet answered is kept, so that acknowledgements are not taken for
            # those of a later subscription to the same name.
            if self._connection is None:
                self._forget(channel)
            else:
                self._say("UNSUBSCRIBE", channel)
            channel.in_force.clear()

    def _forget(self, channel: Channel) -> None:
        self._channels.pop(channel.name, None)
        self._backfill.forget(channel)

    def _say(self, word: str, channel: Channel) -> None:
        channel.unacked += 1
        self._outbox.append((word, channel.name))
        self._outbox_due.set()

    # -- the connection --

    async def _run(self) -> None:
        pause = RetryPause(RECONNECT_FIRST_S, RECONNECT_MOST_S, jitter=True)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._run_connected()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("hub_connection_lost", error=repr(error))
            except Exception:  # a hub that ended for a bug would leave every reader deaf
                log.exception("hub_failed")
            finally:
                self._suspend()
            self.reconnects += 1
            if loop.time() - began > RECONNECT_MOST_S:
                pause.reset()
            await pause.wait()

    async def _run_connected(self) -> None:
        """Listen from connecting until the connection is lost, which raises."""
        pool = self._redis.connection_pool
        settings = {**pool.connection_kwargs, "socket_timeout": None, "protocol": 2}
        made: AbstractConnection = pool.connection_class(**settings)
        try:
            await made.connect()  # type: ignore[no-untyped-call]
            connection = self._connection = PubSubConnection(made, self._heard)
            self._heard_at = time.monotonic()
            for channel in list(self._channels.values()):
                if channel.sinks:
                    self._say("SUBSCRIBE", channel)
                else:
                    self._forget(channel)
            self.connected.set()
            await self._until_one_fails(
                {
                    "hub-read": connection.until_lost(),
                    "hub-write": self._write(connection),
                    "hub-watch": self._watch(connection),
                    "hub-fill": self._backfill.run(),
                }
            )
        finally:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self.connected.clear()
            await made.disconnect(nowait=True)

    @staticmethod
    async def _until_one_fails(works: dict[str, Coroutine[Any, Any, None]]) -> None:
        tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end(*tasks)

    def _suspend(self) -> None:
        """Note that the connection is gone: forget what was said on it, and trust nothing that was not seen."""
        self._outbox.clear()
        self._backfill.clear()
        for channel in list(self._channels.values()):
            channel.unacked = 0
            channel.filling = False
            channel.in_force.clear()
            if not channel.sinks:
                self._forget(channel)
            elif channel.detector is not None:
                channel.detector.suspend()

    async def _write(self, connection: PubSubConnection) -> None:
        while True:
            await self._outbox_due.wait()
            self._outbox_due.clear()
            while self._outbox:
                word = self._outbox[0][0]
                names: list[bytes] = []
                for said, name in self._outbox[:SUBSCRIBE_AT_ONCE]:
                    if said != word:
                        break
                    names.append(name)
                del self._outbox[: len(names)]
                connection.say(word, *names)

    async def _watch(self, connection: PubSubConnection) -> None:
        while True:
            await asyncio.sleep(PING_EVERY_S)
            if time.monotonic() - self._heard_at > SILENT_AFTER_S:
                raise TimeoutError("Redis says nothing on the Pub/Sub connection")
            connection.say("PING")

    def _heard(self, said: Any) -> None:
        """Take what the server says; the connection passes it on in the turn of the loop in which it was read."""
        self._heard_at = time.monotonic()
        if not isinstance(said, list) or len(said) != 3:
            return
        kind, full_name, data = said
        name = self._namespace.without(full_name)
        try:
            if kind == b"message":
                self._message(name, data)
            elif kind in (b"subscribe", b"unsubscribe"):
                self._acknowledged(name)
        except Exception:  # some may have got the entry and some not: with a new connection all are put right
            log.exception("hub_failed")
            if self._connection is not None:
                self._connection.close()

    # -- delivering --

    def _message(self, name: bytes, data: bytes) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        self.messages += 1
        detector = channel.detector
        if detector is None:
            for sink in channel.sinks:
                sink(data)
            return
        try:
            entries = events_of_message(channel.key, data)
        except BadEntry as error:
            self._bad_messages += 1
            log.error("hub_bad_entry", error=str(error))
            return
        for entry in entries:
            if detector.receive(entry):
                sinks = channel.sinks
                self.deliveries += len(sinks)
                for sink in sinks:
                    sink(entry)
            elif not detector.ready and channel.in_force.is_set() and not channel.filling:
                self.gaps += 1
                self._backfill.want(channel)

    def _acknowledged(self, name: bytes) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        channel.unacked -= 1
        if channel.unacked > 0:
            return
        if not channel.sinks:
            self._forget(channel)
        elif channel.detector is None:
            channel.in_force.set()
            for sink in channel.sinks:
                sink(None)
        else:
            self._backfill.want(channel)
