"""The view of one spectator of a chunk, from its first event to the end, without any transport.

Only shared events can come out of here, by type.  A watcher that is too slow, or whose place is no longer in the
stream, is told ``resync_required`` and shown the present state; it never misses something without being told.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from streaming import keys
from streaming.cursor import ChunkCursor
from streaming.digests import digests_of
from streaming.entry import BEFORE_FIRST, EventId, SharedEvent, StreamId, notice
from streaming.gap_detector import Item, Resync
from streaming.hub import Hub, Subscription
from streaming.replay import Unreplayable, replay
from streaming.shared_clock import now_ms
from streaming.snapshot import Snapshots
from streaming.subscriber_queue import SubscriberQueue

#: An event and the id under which it can be resumed from; None for what is not replayed.
Shown = tuple[SharedEvent, EventId | None]


def snapshot_url(chunk_id: str) -> str:
    """Return the path of a chunk's snapshot."""
    return f"/v1/chunks/{chunk_id}/snapshot"


def resync_required(chunk_id: str | None, reason: str, trace_id: str) -> SharedEvent:
    """Make the event; ``chunk_id`` None: a follower's, whose agent is in no chunk."""
    url = None if chunk_id is None else snapshot_url(chunk_id)
    fields: dict[str, object] = {"chunk_id": chunk_id, "snapshot_url": url, "reason": reason}
    return notice("resync_required", fields, now_ms(), trace_id)


class Watch:
    """One spectator's view of ``chunk_id``.

    Args:
        queue: its queue; the registry puts heartbeats and closing into it.
        trace_id: of the connection; what is said to this reader alone bears it.
        hello: fields of ``session_ready``, with which it then begins; ``chunk_id`` is added.
        last_event_id: what the reader handed back; None for a new reader.
    """

    def __init__(
        self,
        hub: Hub,
        redis: Redis,
        snapshots: Snapshots,
        chunk_id: str,
        queue: SubscriberQueue,
        trace_id: str,
        hello: dict[str, object] | None = None,
        last_event_id: str | None = None,
    ) -> None:
        self._hub = hub
        self._redis = redis
        self._snapshots = snapshots
        self._key = keys.chunk_stream(chunk_id)
        self._trace_id = trace_id
        self._hello = hello
        self._last_event_id = last_event_id
        self._subscription: Subscription | None = None
        self.chunk_id = chunk_id
        self.queue = queue
        self.at: StreamId = BEFORE_FIRST
        self._ended = False
        self._lost = False
        #: Tick of the last digest that was told; None: the first are told as they come.
        self._digest_tick: int | None = None

    async def events(self) -> AsyncGenerator[list[Shown], None]:
        """Yield what to send, a list at a time; ends after ``chunk_closed``.  Use ``contextlib.aclosing``.

        Raises:
            Closed: somebody closed the queue (see ``streaming.subscriber_queue``).
            HubUnavailable, RedisError: Redis is away; the reader should come back.
        """
        self._subscription = self._hub.subscribe(self._key, self.queue.put)
        try:
            await self._subscription.ready()
            if self._hello is not None:
                yield [self._say("session_ready", {**self._hello, "chunk_id": self.chunk_id})]
            if self._last_event_id is None:
                yield await self._present()
            else:
                async for shown in self._missed(self._last_event_id):
                    yield shown
                    del shown  # not kept while the reader lives
            while not self._ended:
                yield await self._live()
        finally:
            self._subscription.close()

    def at_once(self, item: Item) -> Shown | None:
        """Return what ``item`` shows, if it is the next delta of a reader who waits for nothing else.

        None: nothing has changed here, and the item belongs into the queue.
        """
        if self._lost or not isinstance(item, SharedEvent) or item.kind != "chunk_delta":
            return None
        if not item.prev <= self.at < item.id:
            return None
        self.at = item.id
        return item, item.event_id

    async def _missed(self, last_event_id: str) -> AsyncIterator[list[Shown]]:
        cursor = ChunkCursor.parse(last_event_id)
        if cursor is None or cursor.chunk_id != self.chunk_id:
            yield await self._resync("unknown_event_id")
            return
        self.at = cursor.at
        try:
            while True:
                self.queue.forget()
                async for page in replay(self._redis, self._key, self.at):
                    yield self._show(page)
                if not self.queue.overflowed:
                    return  # else live entries fell out of the queue during a long replay: the stream has them
        except Unreplayable:
            yield await self._resync("out_of_window")

    async def _live(self) -> list[Shown]:
        items = await self.queue.take()
        if items is None:
            return await self._resync("too_slow")
        shown = self._show(items)
        if self._lost:
            self._lost = False
            shown = await self._resync("history_lost")
        if self.queue.heartbeat_due:
            self.queue.heartbeat_due = False
            if not self._ended:
                fields: dict[str, object] = {"chunk_id": self.chunk_id, "tick": self.at[0]}
                shown.append(self._say("heartbeat", fields))
                shown += await self._digests()
        return shown

    async def _digests(self) -> list[Shown]:
        """Return the chunk's digests since the last heartbeat; none while Redis is away: they are told again."""
        try:
            found = await digests_of(self._redis).newest(self.chunk_id)
        except (RedisError, OSError, TimeoutError):
            return []
        new = [one for one in found if self._digest_tick is None or one.tick > self._digest_tick]
        if new:
            self._digest_tick = new[-1].tick
        return [self._say("chunk_digest", {"chunk_id": self.chunk_id, **one.to_json()}) for one in new]

    def _show(self, items: Iterable[object]) -> list[Shown]:
        shown: list[Shown] = []
        for item in items:
            if not isinstance(item, SharedEvent):
                self._lost = self._lost or isinstance(item, Resync)
                continue
            if not item.key:  # of no stream: the gateway has it for everybody
                shown.append((item, None))
                continue
            if item.id <= self.at:
                continue  # seen in the replay or the snapshot
            if item.prev > self.at:
                self._lost = True
                continue
            self.at = item.id
            shown.append((item, item.event_id))
            if item.kind == "chunk_closed":
                self._ended = True
                break
        return shown

    async def _present(self) -> list[Shown]:
        head = self._subscription.head if self._subscription is not None else None
        snapshot = await self._snapshots.get(self.chunk_id, head)
        if snapshot is None:
            self._ended = True
            return [self._say("chunk_closed", {"chunk_id": self.chunk_id})]
        shown: list[Shown] = [(snapshot.static, None)]
        if snapshot.latest is not None:
            self.at = snapshot.latest.id
            shown.append((snapshot.latest, snapshot.latest.event_id))
        return shown

    async def _resync(self, reason: str) -> list[Shown]:
        return [(resync_required(self.chunk_id, reason, self._trace_id), None), *await self._present()]

    def _say(self, kind: str, fields: dict[str, object]) -> Shown:
        return notice(kind, fields, now_ms(), self._trace_id), None
