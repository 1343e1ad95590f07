"""The hub: one Pub/Sub connection for everything that the readers of this process follow.

"The stream is the truth, Pub/Sub is the bell": a committed entry is published in the same script that appends it.
The hub hands it to each subscriber of its channel, in order, in the turn of the loop in which it was read, without a
task or an encoding per reader.  A hole (a lost message, a connection made anew) is filled from the stream before
anything newer is handed on; where the stream no longer has it, subscribers get ``Resync``.

A sink is a plain function that must not block, raise, or change subscriptions; ``streaming.mailbox.Mailbox.put`` is
the usual one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from streaming.cancellable import end, make_cancellable
from streaming.entry import BadEntry, from_message, from_stream, parse_stream_id
from streaming.sequence import Item, Resync, Sequence

log = structlog.get_logger(__name__)

RECONNECT_FIRST_S: Final = 0.05
RECONNECT_MOST_S: Final = 2.0
#: A PING goes out on the Pub/Sub connection this often; hearing nothing for two of them means that it is dead.
PING_EVERY_S: Final = 5.0
SILENT_AFTER_S: Final = 12.0
#: How long ``Subscription.ready`` waits for Redis before it gives up.
READY_TIMEOUT_S: Final = 8.0
#: Entries read at once while a hole is filled, and streams asked in one pipeline.
FILL_PAGE: Final = 256
FILL_STREAMS: Final = 64
SUBSCRIBE_AT_ONCE: Final = 512

Sink = Callable[[Item], None]
ControlSink = Callable[[bytes | None], None]


class HubUnavailable(Exception):
    """Redis can't be reached now; the reader should come back."""


class Subscription:
    """One reader's place in one channel.  ``close`` is immediate, and may be called twice."""

    __slots__ = ("_channel", "_hub", "sink")

    def __init__(self, hub: Hub, channel: _Channel, sink: Sink | ControlSink) -> None:
        self._hub = hub
        self._channel: _Channel | None = channel
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
    def head(self) -> tuple[int, int] | None:
        """Id of the newest entry that the hub has handed on here; what a reader reads must reach at least this."""
        channel = self._channel
        return channel.sequence.last if channel is not None and channel.sequence is not None else None

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            self._hub._leave(channel, self)


class _Channel:
    """One channel: its subscribers, and the order of its stream (None for control channels)."""

    __slots__ = ("_members", "filling", "in_force", "key", "name", "sequence", "sinks", "started", "unacked")

    def __init__(self, key: str, *, stream: bool) -> None:
        self.key = key
        self.name = key.encode()
        self.sequence = Sequence(key) if stream else None
        self.in_force = asyncio.Event()
        #: The stream's head was read once: from then on somebody may have a place in it.
        self.started = False
        self.filling = False
        #: Replaced, never changed, so that a delivery can go through it while subscribers come and go.
        self.sinks: tuple[Any, ...] = ()
        self._members: dict[Subscription, None] = {}
        self.unacked = 0

    def join(self, subscription: Subscription) -> None:
        self._members[subscription] = None
        self.sinks = tuple(member.sink for member in self._members)

    def leave(self, subscription: Subscription) -> bool:
        """True when nobody is left."""
        if self._members.pop(subscription, self) is self:
            return False
        self.sinks = tuple(member.sink for member in self._members)
        return not self._members

    def renew(self) -> None:
        """Begin anew for a first subscriber, after all others had left."""
        if self.sequence is not None:
            self.sequence = Sequence(self.key)
        self.started = self.filling = False
        self.in_force.clear()


class Hub:
    """See the module.  ``start`` in a running loop, ``close`` at the end.

    Args:
        redis: a client for the streams; the Pub/Sub connection is made with the same settings.
    """

    def __init__(self, redis: Redis) -> None:
        make_cancellable(redis.connection_pool)
        self._redis = redis
        self._channels: dict[bytes, _Channel] = {}
        self._connection: AbstractConnection | None = None
        self._outbox: list[tuple[str, bytes]] = []
        self._outbox_due = asyncio.Event()
        self._to_fill: dict[bytes, _Channel] = {}
        self._fill_due = asyncio.Event()
        self._heard_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()
        self.ready_timeout_s = READY_TIMEOUT_S
        # Counters, for the metrics page.
        self.messages = 0
        self.deliveries = 0
        self.holes = 0
        self.resyncs = 0
        self.reconnects = 0
        self.bad_entries = 0

    # -- for readers --

    def subscribe(self, key: str, sink: Sink) -> Subscription:
        """Follow the stream ``key`` through its channel.  Await ``ready`` before reading the stream."""
        return self._join(key, sink, stream=True)

    def listen(self, key: str, sink: ControlSink) -> Subscription:
        """Follow a control channel, which has no stream.  ``sink(None)``: messages may have been lost."""
        return self._join(key, sink, stream=False)

    @property
    def channel_count(self) -> int:
        return len(self._channels)

    @property
    def subscriber_count(self) -> int:
        return sum(len(channel.sinks) for channel in self._channels.values())

    # -- life --

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="hub")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await end(task)

    # -- joining and leaving --

    def _join(self, key: str, sink: Sink | ControlSink, *, stream: bool) -> Subscription:
        name = key.encode()
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel(key, stream=stream)
        first = not channel.sinks
        subscription = Subscription(self, channel, sink)
        channel.join(subscription)
        if first:
            channel.renew()
            if self._connection is not None:
                self._say("SUBSCRIBE", channel)
        return subscription

    def _leave(self, channel: _Channel, subscription: Subscription) -> None:
        if channel.leave(subscription) and self._channels.get(channel.name) is channel:
            # A channel whose UNSUBSCRIBE is not yet answered is kept, so that acknowledgements are not taken for
            # those of a later subscription to the same name.
            if self._connection is None:
                self._forget(channel)
            else:
                self._say("UNSUBSCRIBE", channel)
            channel.in_force.clear()

    def _forget(self, channel: _Channel) -> None:
        self._channels.pop(channel.name, None)
        self._to_fill.pop(channel.name, None)

    def _say(self, word: str, channel: _Channel) -> None:
        channel.unacked += 1
        self._outbox.append((word, channel.name))
        self._outbox_due.set()

    # -- the connection --

    async def _run(self) -> None:
        delay = RECONNECT_FIRST_S
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._connected_life()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("hub_connection_lost", error=repr(error))
            except Exception:  # a hub that ended for a bug would leave every reader deaf
                log.exception("hub_failed")
            finally:
                self._suspend()
            self.reconnects += 1
            if loop.time() - began > RECONNECT_MOST_S:
                delay = RECONNECT_FIRST_S
            await asyncio.sleep(delay * (0.5 + random.random()))
            delay = min(delay * 2, RECONNECT_MOST_S)

    async def _connected_life(self) -> None:
        """From connecting to the loss of the connection, which ends it with an exception."""
        pool = self._redis.connection_pool
        settings = {**pool.connection_kwargs, "socket_timeout": None, "protocol": 2}
        connection: AbstractConnection = pool.connection_class(**settings)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            self._connection = connection
            self._heard_at = asyncio.get_running_loop().time()
            for channel in list(self._channels.values()):
                if channel.sinks:
                    self._say("SUBSCRIBE", channel)
                else:
                    self._forget(channel)
            self.connected.set()
            await self._until_one_fails(
                {
                    "hub-read": self._read(connection),
                    "hub-write": self._write(connection),
                    "hub-watch": self._watch(connection),
                    "hub-fill": self._fill(),
                }
            )
        finally:
            self._connection = None
            self.connected.clear()
            await connection.disconnect(nowait=True)

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
        """The connection is gone: forget what was said on it, and trust nothing that was not seen."""
        self._outbox.clear()
        self._to_fill.clear()
        for channel in list(self._channels.values()):
            channel.unacked = 0
            channel.filling = False
            channel.in_force.clear()
            if not channel.sinks:
                self._forget(channel)
            elif channel.sequence is not None:
                channel.sequence.suspend()

    async def _write(self, connection: AbstractConnection) -> None:
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
                await connection.send_packed_command(connection.pack_command(word, *names), check_health=False)

    async def _watch(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_EVERY_S)
            if loop.time() - self._heard_at > SILENT_AFTER_S:
                raise TimeoutError("Redis says nothing on the Pub/Sub connection")
            await connection.send_packed_command(connection.pack_command("PING"), check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            answer = await connection.read_response(disconnect_on_error=False)
            self._heard_at = loop.time()
            if isinstance(answer, list) and len(answer) == 3:
                kind, name, data = answer
                if kind == b"message":
                    self._message(name, data)
                elif kind in (b"subscribe", b"unsubscribe"):
                    self._acknowledged(name)

    # -- delivering --

    def _message(self, name: bytes, data: bytes) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        self.messages += 1
        sequence = channel.sequence
        if sequence is None:
            for sink in channel.sinks:
                sink(data)
            return
        try:
            entry = from_message(channel.key, data)
        except BadEntry as error:
            self.bad_entries += 1
            log.error("hub_bad_entry", error=str(error))
            return
        if sequence.receive(entry):
            sinks = channel.sinks
            self.deliveries += len(sinks)
            for sink in sinks:
                sink(entry)
        elif not sequence.ready and channel.in_force.is_set() and not channel.filling:
            self.holes += 1
            self._want_fill(channel)

    def _acknowledged(self, name: bytes) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        channel.unacked -= 1
        if channel.unacked > 0:
            return
        if not channel.sinks:
            self._forget(channel)
        elif channel.sequence is None:
            channel.in_force.set()
            for sink in channel.sinks:
                sink(None)
        else:
            self._want_fill(channel)

    # -- filling --

    def _want_fill(self, channel: _Channel) -> None:
        channel.filling = True
        self._to_fill[channel.name] = channel
        self._fill_due.set()

    async def _fill(self) -> None:
        while True:
            await self._fill_due.wait()
            self._fill_due.clear()
            while self._to_fill:
                some = [self._to_fill.pop(name) for name in list(self._to_fill)[:FILL_STREAMS]]
                try:
                    await self._fill_some(some)
                except (RedisError, OSError, TimeoutError) as error:
                    # The reading connection failed, the Pub/Sub one may live on: ask again.
                    log.warning("hub_fill_failed", error=repr(error))
                    for channel in some:
                        self._to_fill.setdefault(channel.name, channel)
                    await asyncio.sleep(RECONNECT_FIRST_S)

    async def _fill_some(self, channels: list[_Channel]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        fresh, asked = [], []
        for channel in channels:
            sequence = channel.sequence
            assert sequence is not None
            asked.append(sequence)
            # Of a stream never read before only the head matters: nobody has a place in it yet.
            fresh.append(not channel.started)
            since = "-" if sequence.last is None else f"{sequence.last[0]}-{sequence.last[1]}"
            if not fresh[-1]:
                pipe.xrange(channel.key, since, "+", count=FILL_PAGE)
            pipe.xrevrange(channel.key, "+", "-", count=1)
        answers = iter(await pipe.execute(raise_on_error=False))
        for channel, is_fresh, sequence in zip(channels, fresh, asked, strict=True):
            page = [] if is_fresh else next(answers)
            newest = next(answers)
            for answer in (page, newest):
                if isinstance(answer, ResponseError):
                    log.error("hub_stream_unreadable", key=channel.key, error=str(answer))
                elif isinstance(answer, Exception):
                    raise answer
            # A subscriber who left and came back meanwhile has made it a new sequence, which asks for itself.
            current = self._channels.get(channel.name) is channel and channel.sequence is sequence
            if current and isinstance(page, list) and isinstance(newest, list):
                self._filled(channel, page, newest, fresh=is_fresh)

    def _filled(self, channel: _Channel, page: list[Any], newest: list[Any], *, fresh: bool) -> None:
        sequence = channel.sequence
        assert sequence is not None
        channel.filling = False
        channel.started = True
        head = parse_stream_id(newest[0][0]) if newest else None
        if fresh:
            items = sequence.started(head)
        else:
            entries = []
            for id_, fields in page:
                try:
                    entries.append(from_stream(channel.key, id_, fields[b"m"]))
                except (BadEntry, KeyError) as error:
                    self.bad_entries += 1
                    log.error("hub_bad_entry", error=repr(error))
            items = sequence.filled(entries, head)
        for item in items:
            self.resyncs += isinstance(item, Resync)
            for sink in channel.sinks:
                sink(item)
        if channel.unacked == 0 and channel.sinks:
            channel.in_force.set()
        if not sequence.ready:
            self._want_fill(channel)
