"""What event streams and sockets have in common: the parts of a gateway that they use, and what a view is.

    hub ─► queue ─► view (``streaming.watch``, ``streaming.follow``) ─► SSE blocks or WebSocket frames

A view says what to send; ``api.sockets.sse`` and ``api.sockets.socket`` frame and send it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Final, Protocol

from fastapi import Depends, Header, Query, Request
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.requests import HTTPConnection

from api.accounts.auth import Authenticator, RedisCalls
from api.errors import ApiError
from api.ids import trace_id_or_new
from api.sockets import stream_metrics
from api.sockets.connections import Connection, Connections
from api.sockets.seats import Seats
from config.settings import Settings
from streaming.direct_redis import DirectRedis
from streaming.entry import Event, EventId
from streaming.gap_detector import Item
from streaming.hub import Hub, HubUnavailable
from streaming.snapshot import Snapshots, snapshots_of
from streaming.subscriber_queue import SubscriberQueue

#: Redis is away or the reader fell behind what it holds: the client should come back.
AWAY: Final = (HubUnavailable, RedisError, OSError, TimeoutError)

Batch = Sequence[tuple[Event, EventId | None]]


class View(Protocol):
    """What ``streaming.watch.Watch`` and ``streaming.follow.Follow`` are."""

    queue: SubscriberQueue

    def events(self) -> AsyncGenerator[Batch, None]:
        """Yield what to send, a batch at a time."""
        ...

    def at_once(self, item: Item) -> tuple[Event, EventId | None] | tuple[()] | None:
        """Return what an item of the hub shows a reader who waits in ``queue.take``.

        Empty: nothing.  None: it is to be queued.
        """
        ...


class Streams:
    """The parts that every stream of a gateway uses."""

    def __init__(self, redis: Redis, batch: RedisCalls, auth: Authenticator, settings: Settings) -> None:
        self.redis = redis
        self.records = DirectRedis(redis)
        self.hub = Hub(redis)
        self.snapshots: Snapshots = snapshots_of(redis)
        self.connections = Connections(self.hub, auth, settings.heartbeat_s, settings.revoke_within_s)
        self.seats = Seats(batch, settings.grace_s)
        self._collector: Collector | None = None

    def start(self) -> None:
        """Begin to listen; needs a running loop."""
        self.hub.start()
        self.connections.start()
        self.seats.start()
        self._collector = stream_metrics.watch_hub(self.hub)

    async def drain(self, window_s: float) -> None:
        """Refuse new connections and send the open ones away, spread over ``window_s``."""
        await self.connections.drain(window_s)

    async def close(self) -> None:
        """End what is left."""
        await self.connections.close()
        await self.seats.close()
        await self.hub.close()
        await self.records.aclose()
        if self._collector is not None:
            stream_metrics.unwatch(self._collector)
            self._collector = None


def streams_of(connection: HTTPConnection) -> Streams:
    """Return the gateway's ``Streams``, for a new connection.  Raises ``ApiError``: ``draining``."""
    streams: Streams = connection.app.state.streams
    if streams.connections.draining or connection.app.state.services.draining:
        raise ApiError("draining")
    return streams


async def _last_event_id(
    request: Request,
    last_event_id: Annotated[str | None, Query(description="As the header `Last-Event-ID`, which goes before.")] = None,
    header: Annotated[str | None, Header(alias="last-event-id")] = None,
) -> str | None:
    return header if header is not None else last_event_id


#: Where an SSE client wants to go on: the header, or the query for clients that can't set one.
LastEventId = Annotated[str | None, Depends(_last_event_id)]


def trace_of(connection: HTTPConnection) -> str:
    """Return the trace of a connection: its request's."""
    return trace_id_or_new(getattr(connection.state, "trace_id", None))


def new_channel_id() -> str:
    """Make a connection's id."""
    return "ch_" + secrets.token_hex(8)


def count_resyncs(batch: Batch, connection: Connection) -> None:
    """Count the resyncs that a batch tells its reader."""
    for event, _ in batch:
        if event.kind == "resync_required":
            stream_metrics.RESYNCS.labels(connection.kind).inc()
