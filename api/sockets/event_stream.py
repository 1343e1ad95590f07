"""A connection that has become an event stream: all that is left of it once the head of its answer is sent.

    BoundedHttpProtocol ─► head ─► EventStreamProtocol, and one task that sends the view

A stream may last for days, with thousands of others.  So parser, request, the framework's layers and the task that went
through them end with the head (``api.sockets.http_protocol``), and this takes their place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final

from api.sockets.connections import CLOSE_GONE, CLOSE_RESTART
from streaming.framing import http_chunk

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from api.sockets.connection_limits import Slot
    from streaming.subscriber_queue import SubscriberQueue

__all__ = ["EventStreamProtocol"]

#: What a client may still send, the rest of its request or the next one; nobody reads it.
UNREAD_MOST_BYTES: Final = 64 * 1024
LAST_CHUNK: Final = b"0\r\n\r\n"


class EventStreamProtocol(asyncio.Protocol):
    """Writes the chunks of an answer's body; a ``DirectWriter`` too.  Made when the head has been written.

    Args:
        transport: the connection's.
        slot: its place, as one of those who are in.
        state: the server's.
        paused: the transport has said that it holds more than it wants to.
    """

    __slots__ = ("_paused", "_room", "_slot", "_state", "_task", "_transport", "_unread", "queue")

    def __init__(self, transport: asyncio.Transport, slot: Slot, state: ServerState, *, paused: bool) -> None:
        self._transport = transport
        self._slot = slot
        self._state = state
        self._paused = paused
        self._room: asyncio.Future[None] | None = None
        self._unread = 0
        self._task: asyncio.Task[None] | None = None
        #: The reader's, closed when the client is gone.
        self.queue: SubscriberQueue | None = None
        slot.peer = self
        state.connections.add(self)  # type: ignore[arg-type]  # for ``shutdown``

    # -- for the view --

    def serve(self, queue: SubscriberQueue, work: Coroutine[object, object, None]) -> None:
        """Run ``work``, which sends what comes through ``queue``, on its own."""
        self.queue = queue
        self._task = asyncio.get_running_loop().create_task(work, name="sse-send")
        self._state.tasks.add(self._task)
        self._task.add_done_callback(self._state.tasks.discard)

    async def send(self, block: bytes) -> None:
        """Write ``block``, once there is room for it."""
        while self._paused and not self._transport.is_closing():
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None
        if not self._transport.is_closing():
            self._transport.write(http_chunk(block))

    def end(self, *, whole: bool) -> None:
        """End the answer and the connection; ``whole``: in order, and not because it was cut off."""
        if not whole:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.write(LAST_CHUNK)
            self._transport.close()

    def takes(self, most: int) -> bool:
        """See ``api.sockets.direct.DirectWriter``."""
        transport = self._transport
        return not transport.is_closing() and transport.get_write_buffer_size() <= most

    def push(self, data: bytes) -> None:
        """Write a whole chunk."""
        self._transport.write(data)

    # -- for the transport --

    def data_received(self, data: bytes) -> None:
        """Leave unread what a client says to an event stream."""
        self._unread += len(data)
        if self._unread > UNREAD_MOST_BYTES:
            self._transport.abort()

    def pause_writing(self) -> None:
        """Let ``send`` wait."""
        self._paused = True

    def resume_writing(self) -> None:
        """Let ``send`` go on."""
        self._paused = False
        self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        """Give the place back, and end the view."""
        self._state.connections.discard(self)
        self._slot.leave()
        if self.queue is not None:
            self.queue.close(CLOSE_GONE, "gone")
        self._wake()

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # -- for the server, and ``api.sockets.connection_limits.Peer`` --

    def shutdown(self) -> None:
        """Send the client away: the server stops."""
        if self.queue is not None:
            self.queue.close(CLOSE_RESTART, "draining")

    def expire(self) -> None:
        """Close; a stream has no deadline."""
        self._transport.abort()

    make_room = expire

    def go_on(self) -> None:
        """See ``api.sockets.connection_limits.Peer``; only a new connection is held."""
