"""A view as server-sent events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from api.errors import ApiError
from api.sockets import stream_metrics
from api.sockets.connections import CLOSE_GONE, Connection
from api.sockets.direct import Direct
from api.sockets.streams import AWAY, View, count_resyncs
from streaming.cancellable import end
from streaming.entry import Event
from streaming.subscriber_queue import Closed, Overflowed

#: Under this name the server may offer a way to say that a connection has become an event stream, which is not closed
#: for others' sake (``api.sockets.http_protocol``); it answers whether there is room for one.
ENTER_EXTENSION: Final = "chunkcrawl.enter"

#: Under this name it may offer a ``DirectWriter`` of the answer's chunks, once the answer has begun.
CHUNKS_EXTENSION: Final = "chunkcrawl.chunks"

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
    business, so none of the tasks and timers that the base class starts per connection is needed: one task sends, one
    notices that the client is gone.
    """

    def __init__(self, view: View, connection: Connection) -> None:
        self._view = view
        self._connection = connection
        self._content = self._blocks()
        super().__init__(self._content, headers=SSE_HEADERS, ping=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the view until it ends or the client is gone."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        extensions = scope.get("extensions") or {}
        enter, writer = extensions.get(ENTER_EXTENSION), extensions.get(CHUNKS_EXTENSION)
        if enter is not None and not enter():
            raise ApiError("overloaded")
        async with self._connection:
            gone = asyncio.create_task(self._until_gone(receive), name="sse-gone")
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                if writer is not None:
                    self._view.queue.direct = Direct(self._view, self._connection, writer, Event.sse_chunk)
                async with aclosing(self._content) as blocks:
                    async for block in blocks:
                        await send({"type": "http.response.body", "body": block, "more_body": True})
                        del block  # the next may be written directly, and this one would be kept for good
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                self._view.queue.direct = None
                await end(gone)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._view.queue.close(CLOSE_GONE, "gone")

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        yield retry_line()
        try:
            async with aclosing(self._view.events()) as events:
                async for batch in events:
                    if batch:
                        count_resyncs(batch, self._connection)
                        yield b"".join([event.sse_bytes(event_id) for event, event_id in batch])
                        stream_metrics.delivered(batch)  # when it is asked for more, the last one has been sent
                    del batch
        except Closed as closed:
            if closed.code == CLOSE_GONE:
                return
            yield retry_line() + b"\n"
        except (Overflowed, *AWAY):
            yield retry_line() + b"\n"
