"""A view as server-sent events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

import structlog
from sse_starlette import EventSourceResponse
from starlette.types import Message, Receive, Scope, Send

from api.errors import ApiError
from api.sockets import stream_metrics
from api.sockets.connections import CLOSE_GONE, Connection
from api.sockets.direct import Direct, DirectWriter
from api.sockets.event_stream import EventStreamProtocol
from api.sockets.streams import AWAY, View, count_resyncs
from streaming.cancellable import end
from streaming.entry import Event
from streaming.subscriber_queue import Closed, Overflowed, SubscriberQueue

log = structlog.get_logger(__name__)

#: Under this name the server may offer a way to say that a connection has become an event stream, which is not closed
#: for others' sake (``api.sockets.http_protocol``); it answers whether there is room for one.
ENTER_EXTENSION: Final = "chunkcrawl.enter"

#: Under this name it may offer to go on with the connection alone, once the head is written: a call that returns an
#: ``api.sockets.event_stream.EventStreamProtocol``, or None if the client has gone away meanwhile.
STREAM_EXTENSION: Final = "chunkcrawl.stream"

#: What a client waits before it comes back; spread, so that those of a lost gateway do not come together.
RETRY_LEAST_MS: Final = 1_000
RETRY_SPREAD_MS: Final = 3_000

#: Nothing on the way may hold events back: no caching, no transformation (compression), no buffering (nginx).
SSE_HEADERS: Final = {"cache-control": "no-cache, no-store, no-transform", "x-accel-buffering": "no"}


def retry_line() -> bytes:
    """Return the line that tells a client how long to wait before it comes back."""
    return b"retry: %d\n" % (RETRY_LEAST_MS + random.randrange(RETRY_SPREAD_MS))


class SseResponse(EventSourceResponse):
    """A view as an SSE response.

    Its blocks are sent as they are.  Heartbeats are events of the view, and stopping the server is ``Connections``'
    business, so none of the tasks and timers that the base class starts per connection is needed.  Where the server
    offers ``STREAM_EXTENSION`` the response ends with its head and the view goes on without it; elsewhere it is sent
    through ASGI calls, with a task that notices that the client is gone.
    """

    def __init__(self, view: View, connection: Connection) -> None:
        self._view = view
        self._connection = connection
        super().__init__(iter(()), headers=SSE_HEADERS, ping=0)  # the body is sent here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the view until it ends or the client is gone, or let it go on by itself."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        view, connection = self._view, self._connection
        extensions = scope.get("extensions") or {}
        enter, go_on_alone = extensions.get(ENTER_EXTENSION), extensions.get(STREAM_EXTENSION)
        if enter is not None and not enter():
            raise ApiError("overloaded")
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if go_on_alone is not None:
            await send(head)
            stream: EventStreamProtocol | None = go_on_alone()
            if stream is not None:
                stream.serve(view.queue, _serve(view, connection, stream, stream))
            return
        body = _AsgiBody(send, head)
        gone = asyncio.create_task(_until_gone(receive, view.queue), name="sse-gone")
        try:
            await _serve(view, connection, body)
        finally:
            await end(gone)
        if body.whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Body(Protocol):
    """Where blocks go."""

    async def send(self, block: bytes) -> None:
        """Send a block that is not empty; waits while the peer does not read."""

    def end(self, *, whole: bool) -> None:
        """Note that no more will come."""


class _AsgiBody:
    """A body that is sent through ASGI calls, after its head."""

    def __init__(self, send: Send, head: Message) -> None:
        self._send = send
        self._head: Message | None = head
        self.whole = False

    async def send(self, block: bytes) -> None:
        head, self._head = self._head, None
        if head is not None:
            await self._send(head)
        await self._send({"type": "http.response.body", "body": block, "more_body": True})

    def end(self, *, whole: bool) -> None:
        self.whole = whole


async def _serve(view: View, connection: Connection, body: _Body, writer: DirectWriter | None = None) -> None:
    """Send ``view`` until it ends."""
    whole = False
    try:
        async with connection:
            if writer is not None:
                view.queue.direct = Direct(view, connection, writer, Event.sse_chunk)
            async with aclosing(_blocks(view, connection)) as blocks:
                async for block in blocks:
                    await body.send(block)
                    del block  # the next may be written directly, and this one would be kept for good
            whole = True
    except Exception:  # nobody awaits this
        log.exception("stream_failed", kind=connection.kind)
    finally:
        view.queue.direct = None
        body.end(whole=whole)


async def _until_gone(receive: Receive, queue: SubscriberQueue) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    queue.close(CLOSE_GONE, "gone")


async def _blocks(view: View, connection: Connection) -> AsyncGenerator[bytes, None]:
    yield retry_line()
    try:
        async with aclosing(view.events()) as events:
            async for batch in events:
                if batch:
                    count_resyncs(batch, connection)
                    yield b"".join([event.sse_bytes(event_id) for event, event_id in batch])
                    stream_metrics.delivered(batch)  # when it is asked for more, the last one has been sent
                del batch
    except Closed as closed:
        if closed.code == CLOSE_GONE:
            return
        yield retry_line() + b"\n"
    except (Overflowed, *AWAY):
        yield retry_line() + b"\n"
