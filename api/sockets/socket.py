"""A view over an accepted WebSocket: frames, close codes, and sockets that only watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api.accounts.auth import chosen_subprotocol
from api.sockets import stream_metrics
from api.sockets.connections import (
    CLOSE_FAILED,
    CLOSE_GONE,
    CLOSE_NORMAL,
    CLOSE_POLICY,
    CLOSE_TOO_SLOW,
    CLOSE_TRY_LATER,
    Connection,
)
from api.sockets.direct import WRITE_AHEAD_BYTES, Direct
from api.sockets.streams import AWAY, Batch, View, count_resyncs
from streaming.cancellable import end
from streaming.entry import Event
from streaming.subscriber_queue import Closed, Overflowed, SubscriberQueue

log = structlog.get_logger(__name__)

#: Under this name the server may offer a way to write frames past the ASGI calls (``api.sockets.frame_protocol``).
FRAMES_EXTENSION: Final = "chunkcrawl.frames"
WRITE_AGAIN_AFTER_S: Final = 0.02


class Socket:
    """Sends events on an accepted WebSocket, past the ASGI calls where the server offers that."""

    def __init__(self, websocket: WebSocket, queue: SubscriberQueue) -> None:
        self._websocket = websocket
        self._queue = queue
        extensions = websocket.scope.get("extensions") or {}
        self.writer = extensions.get(FRAMES_EXTENSION)

    async def send(self, batch: Batch) -> None:
        """Send events in order; waits while the peer does not read.

        Raises:
            Closed: the queue was closed meanwhile.
        """
        writer = self.writer
        for event, event_id in batch:
            if writer is None:
                await self._websocket.send({"type": "websocket.send", "text": event.ws_bytes(event_id).decode()})
                continue
            while writer.buffered > WRITE_AHEAD_BYTES:
                if self._queue.closed is not None:
                    raise self._queue.closed
                await asyncio.sleep(WRITE_AGAIN_AFTER_S)
            if writer.open:
                writer.push(event.ws_frame(event_id))

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

    ``sent`` is told of each batch once it is written, but not of deltas that were written directly.
    """
    code, reason = CLOSE_FAILED, "internal_error"
    if socket.writer is not None:
        view.queue.direct = Direct(view, connection, socket.writer, Event.ws_frame, sent)
    try:
        async with aclosing(view.events()) as events:
            async for batch in events:
                count_resyncs(batch, connection)
                await socket.send(batch)
                stream_metrics.delivered(batch)
                if sent is not None:
                    sent(batch)
                del batch  # the next may be written directly, and this one would be kept for good
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
    finally:
        view.queue.direct = None
    connection.queue.close(code, reason)
    await socket.close(code, reason)


async def serve_watcher(websocket: WebSocket, view: View, connection: Connection) -> None:
    """Serve a read-only socket: send what ``view`` has; whatever the peer says closes it with 1008."""
    async with connection:
        if not await accepted(websocket):
            return
        socket = Socket(websocket, view.queue)
        sending = asyncio.create_task(pump(socket, view, connection), name="ws-send")
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                connection.close(CLOSE_POLICY, "read_only")
        finally:
            view.queue.close(CLOSE_GONE, "gone")
            await end(sending)
