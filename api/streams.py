"""What event streams and sockets have in common: the parts they use, framing, and how they end.

    hub ─► mailbox ─► view (``streaming.watch``, ``streaming.follow``) ─► SSE blocks or WebSocket frames

A view says what to send; here it is only framed and sent.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Annotated, Final, Protocol

import structlog
from fastapi import Depends, Header, Query, Request
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sse_starlette import EventSourceResponse
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api import streams_metrics as metrics
from api.agent_socket_seats import Seats
from api.auth import Authenticator, RedisCalls, chosen_subprotocol
from api.connections import (
    CLOSE_FAILED,
    CLOSE_GONE,
    CLOSE_NORMAL,
    CLOSE_POLICY,
    CLOSE_TOO_SLOW,
    CLOSE_TRY_LATER,
    Connection,
    Connections,
)
from api.errors import ApiError
from api.settings import Settings
from streaming.cancellable import end
from streaming.entry import Event, EventId
from streaming.hub import Hub, HubUnavailable
from streaming.mailbox import Closed, Mailbox, Overflowed
from streaming.snapshot import Snapshots, snapshots_of

log = structlog.get_logger(__name__)

#: What an SSE client waits before it comes back; spread, so that those of a lost gateway do not come together.
RETRY_LEAST_MS: Final = 1_000
RETRY_SPREAD_MS: Final = 3_000

#: Nothing on the way may hold events back: no caching, no transformation (compression), no buffering (nginx).
SSE_HEADERS: Final = {"cache-control": "no-cache, no-store, no-transform", "x-accel-buffering": "no"}

#: Under this name the server may offer a way to write frames past the ASGI calls (``cluster.frame_protocol``).
FRAMES_EXTENSION: Final = "chunkcrawl.frames"
#: Bytes waiting in a socket's transport above which a sender waits for it.  Half of what a transport takes before it
#: makes ASGI calls wait, so that the close frame of a peer that does not read can still be written.
WRITE_AHEAD_BYTES: Final = 32 * 1024
WRITE_AGAIN_AFTER_S: Final = 0.02

#: Redis is away or the reader fell behind what it holds: the client should come back.
AWAY: Final = (HubUnavailable, RedisError, OSError, TimeoutError)

Batch = Sequence[tuple[Event, EventId | None]]


class View(Protocol):
    """What ``streaming.watch.Watch`` and ``streaming.follow.Follow`` are."""

    mailbox: Mailbox

    def events(self) -> AsyncGenerator[Batch, None]: ...


class Streams:
    """The parts that every stream of a gateway uses."""

    def __init__(self, redis: Redis, batch: RedisCalls, auth: Authenticator, settings: Settings) -> None:
        self.redis = redis
        self.hub = Hub(redis)
        self.snapshots: Snapshots = snapshots_of(redis)
        self.connections = Connections(self.hub, auth, settings.heartbeat_s)
        self.seats = Seats(batch, settings.grace_s)
        self._collector: Collector | None = None

    def start(self) -> None:
        """Begin to listen; needs a running loop."""
        self.hub.start()
        self.connections.start()
        self.seats.start()
        self._collector = metrics.watch_hub(self.hub)

    async def drain(self, window_s: float) -> None:
        """Refuse new connections and send the open ones away, spread over ``window_s``."""
        await self.connections.drain(window_s)

    async def close(self) -> None:
        """End what is left."""
        await self.connections.close()
        await self.seats.close()
        await self.hub.close()
        if self._collector is not None:
            metrics.unwatch(self._collector)
            self._collector = None


def streams_of(connection: HTTPConnection) -> Streams:
    """The gateway's ``Streams``, for a new connection.  Raises ``ApiError``: ``draining``."""
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


def new_channel_id() -> str:
    return "ch_" + secrets.token_hex(8)


# Event streams


def retry_line() -> bytes:
    return b"retry: %d\n" % (RETRY_LEAST_MS + random.randrange(RETRY_SPREAD_MS))


class EventStream(EventSourceResponse):
    """A view as an SSE response.

    Its blocks are sent as they are.  Heartbeats are events of the view, and stopping the server is ``Connections``'
    business, so none of the tasks and timers that the base class starts per connection is needed: one task sends, one
    notices that the client is gone.
    """

    def __init__(self, view: View, connection: Connection) -> None:
        self._view = view
        self._connection = connection
        self._content = self._blocks()
        super().__init__(self._content, headers=SSE_HEADERS, ping=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        async with self._connection:
            gone = asyncio.create_task(self._until_gone(receive), name="sse-gone")
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async with aclosing(self._content) as blocks:
                    async for block in blocks:
                        await send({"type": "http.response.body", "body": block, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                await end(gone)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._view.mailbox.close(CLOSE_GONE, "gone")

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        yield retry_line()
        try:
            async with aclosing(self._view.events()) as events:
                async for batch in events:
                    if batch:
                        count_resyncs(batch, self._connection)
                        yield b"".join([event.sse_bytes(event_id) for event, event_id in batch])
                        metrics.delivered(batch)  # when it is asked for more, the last one has been sent
        except Closed as closed:
            if closed.code == CLOSE_GONE:
                return
            yield retry_line() + b"\n"
        except (Overflowed, *AWAY):
            yield retry_line() + b"\n"


def count_resyncs(batch: Batch, connection: Connection) -> None:
    for event, _ in batch:
        if event.kind == "resync_required":
            metrics.RESYNCS.labels(connection.kind).inc()


# Sockets


class Socket:
    """Sends events on an accepted WebSocket, past the ASGI calls where the server offers that."""

    def __init__(self, websocket: WebSocket, mailbox: Mailbox) -> None:
        self._websocket = websocket
        self._mailbox = mailbox
        extensions = websocket.scope.get("extensions") or {}
        self.writer = extensions.get(FRAMES_EXTENSION)

    async def send(self, batch: Batch) -> None:
        """Send events in order; waits while the peer does not read.

        Raises:
            Closed: the mailbox was closed meanwhile.
        """
        writer = self.writer
        for event, event_id in batch:
            form = event.ws_bytes(event_id)
            if writer is None:
                await self._websocket.send({"type": "websocket.send", "text": form.decode()})
                continue
            while writer.buffered > WRITE_AHEAD_BYTES:
                if self._mailbox.closed is not None:
                    raise self._mailbox.closed
                await asyncio.sleep(WRITE_AGAIN_AFTER_S)
            writer.write(form)

    async def close(self, code: int, reason: str) -> None:
        """Close, as far as it is still open."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            with suppress(RuntimeError, OSError):
                await self._websocket.close(code, reason)


async def accepted(websocket: WebSocket) -> bool:
    """Accept the handshake; False when the client has gone away meanwhile."""
    try:
        await websocket.accept(chosen_subprotocol(websocket))
    except (WebSocketDisconnect, OSError):
        return False
    return True


async def pump(socket: Socket, view: View, connection: Connection, sent: Callable[[Batch], None] | None = None) -> None:
    """Send what ``view`` has until it ends, then close the socket with the code that says why.

    ``sent`` is told of each batch once it is written.
    """
    code, reason = CLOSE_FAILED, "internal_error"
    try:
        async with aclosing(view.events()) as events:
            async for batch in events:
                count_resyncs(batch, connection)
                await socket.send(batch)
                metrics.delivered(batch)
                if sent is not None:
                    sent(batch)
        code, reason = CLOSE_NORMAL, "chunk_closed"
    except Closed as closed:
        code, reason = closed.code, closed.reason
    except Overflowed:
        code, reason = CLOSE_TOO_SLOW, "too_slow"
    except WebSocketDisconnect:
        code, reason = CLOSE_GONE, "gone"
    except AWAY:
        code, reason = CLOSE_TRY_LATER, "unavailable"
    except Exception:  # nobody awaits this task: said here, and to the peer by the code
        log.exception("stream_failed", kind=connection.kind)
    connection.mailbox.close(code, reason)
    await socket.close(code, reason)


async def serve_watcher(websocket: WebSocket, view: View, connection: Connection) -> None:
    """A read-only socket: sends what ``view`` has; whatever the peer says closes it with 1008."""
    async with connection:
        if not await accepted(websocket):
            return
        socket = Socket(websocket, view.mailbox)
        sending = asyncio.create_task(pump(socket, view, connection), name="ws-send")
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                connection.close(CLOSE_POLICY, "read_only")
        finally:
            view.mailbox.close(CLOSE_GONE, "gone")
            await end(sending)
