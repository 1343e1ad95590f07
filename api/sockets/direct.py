"""Writing what the hub brings straight to a reader's transport, while the reader's task waits with nothing queued.

    hub ─► queue ─┬─► direct: view, transport            the reader has been sent everything, and keeps up
                  └─► queued, the reader's task woken    anything else, and all that follows until it waits again

One plain call for each reader of an entry: no task is woken, no coroutine resumed.  A reader that lags, or for whom
more is to be done than to write the next event, is served by its task; docs/decisions/0023-reading-streams.md says why
the two can't overtake each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from api.sockets import stream_metrics
from api.sockets.connections import CLOSE_FAILED, Connection
from api.sockets.streams import Batch, View
from streaming.entry import Event, EventId, PrivateEvent
from streaming.gap_detector import Item

__all__ = ["WRITE_AHEAD_BYTES", "Direct", "DirectWriter"]

log = structlog.get_logger(__name__)

#: Bytes waiting in a connection's transport above which nothing more is written into it.  Half of what a transport
#: takes before it makes ASGI calls wait, so that the close frame of a peer that does not read can still be written.
WRITE_AHEAD_BYTES: Final = 32 * 1024


class DirectWriter(Protocol):
    """The server's side of a connection: a socket's frames, or the chunks of an event stream."""

    def takes(self, most: int) -> bool:
        """Return whether the connection can be written to and at most ``most`` bytes of it wait for the kernel."""
        ...

    def push(self, data: bytes) -> None:
        """Write, after ``takes`` has said that it can be done."""
        ...


class Direct:
    """The ``direct`` of a reader's ``SubscriberQueue``.

    Args:
        form: makes of an event what is written, ``Event.ws_frame`` or ``Event.sse_chunk``.
        sent: told of each of the agent's own events once it is written.
    """

    __slots__ = ("_connection", "_form", "_sent", "_view", "_writer")

    def __init__(
        self,
        view: View,
        connection: Connection,
        writer: DirectWriter,
        form: Callable[[Event, EventId | None], bytes],
        sent: Callable[[Batch], None] | None = None,
    ) -> None:
        self._view = view
        self._connection = connection
        self._writer = writer
        self._form = form
        self._sent = sent

    def __call__(self, item: Item) -> bool:
        """Write what ``item`` shows, if anything; False when it is for the reader's task."""
        try:
            if not self._writer.takes(WRITE_AHEAD_BYTES):
                return False
            shown = self._view.at_once(item)
            if not shown:
                return shown is not None
            self._writer.push(self._form(*shown))
            stream_metrics.delivered((shown,))
            if self._sent is not None and isinstance(item, PrivateEvent):
                self._sent((shown,))
        except Exception:  # one reader's trouble must not reach the hub, which serves all of them
            log.exception("direct_write_failed", kind=self._connection.kind)
            self._connection.close(CLOSE_FAILED, "internal_error")
        return True
