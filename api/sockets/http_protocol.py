"""uvicorn's HTTP protocol with bounds: on a request's line, headers and body, and on the time it takes to arrive.

Bytes are counted before they are parsed, since the parser joins a header's pieces again and again: one header without
an end would keep the event loop busy.  What breaks a bound is answered with 408, 413, 414 or 431 and the connection
closed, whatever the app does meanwhile.  Which connections may stay at all is ``api.sockets.connection_limits``'s
business.
"""

from __future__ import annotations

import functools
import http
from typing import Any, Final

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.errors import ApiError
from api.middleware import BODY_MAX_BYTES, TURNED_AWAY_EXTENSION
from api.sockets.connection_limits import Admission, Slot
from api.sockets.event_stream import EventStreamProtocol
from api.sockets.frame_protocol import FrameProtocol
from api.sockets.sse import ENTER_EXTENSION, STREAM_EXTENSION

__all__ = ["HEADERS_MOST", "HEADER_MOST_BYTES", "HEAD_MOST_BYTES", "PIPELINED_MOST", "BoundedHttpProtocol", "answer_of"]

#: Bounds of the head and its parts.  websockets' own parser, which reads a handshake again, takes no longer lines.
HEAD_MOST_BYTES: Final = 32 * 1024
TARGET_MOST_BYTES: Final = 8_000
HEADER_MOST_BYTES: Final = 8_000
HEADERS_MOST: Final = 100
#: What a body may take on the wire: chunks have a size each, and may be followed by trailers.
BODY_WIRE_MOST_BYTES: Final = 2 * BODY_MAX_BYTES
#: Requests that may wait for the one before them on the same connection.
PIPELINED_MOST: Final = 16

#: Fed to the parser at once, so that no bound is passed by more than this.
SLICE_BYTES: Final = 4 * 1024

#: How much is still read after a refusal, so that the peer gets to read the answer, and for how long.
LINGER_BYTES: Final = 64 * 1024
LINGER_S: Final = 1.0


class _Refused(Exception):
    """A bound is broken; ``reason`` is one of ``api.errors``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds.

    Made by ``api.sockets.new_connection`` with a connection's first byte; it has a place.
    """

    def __init__(self, admission: Admission, slot: Slot, **for_uvicorn: Any) -> None:
        super().__init__(**for_uvicorn)
        self._admission = admission
        self._place = slot
        slot.peer = self
        #: Bytes of the head, or of the body, that have arrived.
        self._taken = 0
        self._at_hand = 0
        self._in_body = False
        #: Between a request's first byte and its last.
        self._receiving = False
        self._over = False
        self._discarded = 0

    # -- the connection --

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        answered_early = self._in_body and not self._at_work
        if self._receiving and not self._over and not answered_early:
            self._admission.broken_off(self._place.address)
        self._place.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count, parse and bound what came."""
        if self._over:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        if not self._receiving:
            self._receiving = True
            if not self._at_work:
                self._place.receive()
        for start in range(0, len(data), SLICE_BYTES):
            if not self._take(data[start : start + SLICE_BYTES]):
                return

    def _take(self, data: bytes) -> bool:
        """Count and parse some bytes; return False when nothing more is to be parsed here."""
        self._at_hand = len(data)
        self._taken += self._at_hand
        try:
            if self._taken > (BODY_WIRE_MOST_BYTES if self._in_body else HEAD_MOST_BYTES):
                raise _Refused("body_too_large" if self._in_body else "headers_too_large")
            self.parser.feed_data(data)
        except _Refused as refused:
            self._refuse(refused.reason)
            return False
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self._upgrade()
                return False
            # An upgrade that nobody here knows is answered as if it had not been asked for; the parser ends with it.
            self.cycle.keep_alive = False
            self._over = True
            return False
        except httptools.HttpParserError as error:
            refused_by = error.__context__
            self._refuse(refused_by.reason if isinstance(refused_by, _Refused) else "bad_request")
            return False
        return not self.transport.is_closing()

    def _upgrade(self) -> None:
        slot = self._place
        if self._at_work or self.scope["method"] != "GET" or self.scope["http_version"] != "1.1":
            self._refuse("bad_request")
        elif not slot.may_enter:
            self._refuse("overloaded")
        else:
            slot.answer()
            self._over = True
            self.handle_websocket_upgrade()
            protocol = self.transport.get_protocol()
            assert isinstance(protocol, FrameProtocol)
            protocol.take_place(slot)
            if not protocol.handshake_initiated:  # no handshake to the other parser
                self.transport.write(answer_of("bad_request"))
                self.transport.close()

    # -- what the parser finds --

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._taken = self._at_hand  # with what may have come before it: a bound is passed by no byte
        self._in_body = False
        self._receiving = True

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's line."""
        super().on_url(url)
        if len(self.url) > TARGET_MOST_BYTES:
            raise _Refused("target_too_long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        # Those that follow a body are of no use to anybody here.
        if self._in_body:
            return
        super().on_header(name, value)
        if len(self.headers) > HEADERS_MOST or len(name) + len(value) > HEADER_MOST_BYTES:
            raise _Refused("headers_too_large")
        if name.lower() == b"content-length" and value.isdigit() and int(value) > BODY_MAX_BYTES:
            raise _Refused("body_too_large")

    def on_headers_complete(self) -> None:
        """Check the head."""
        if len(self.pipeline) >= PIPELINED_MOST:
            raise _Refused("too_many_pipelined")
        # How the app says that this answer is an event stream for somebody who has shown a session, or a refusal that
        # is not to be asked for again at once.
        extensions: Any = {ENTER_EXTENSION: self._enter, TURNED_AWAY_EXTENSION: self._turned_away}
        self.scope["extensions"] = extensions
        super().on_headers_complete()
        extensions[STREAM_EXTENSION] = functools.partial(self._go_on_alone, self.cycle)
        self._in_body = True
        self._taken = 0

    def on_message_complete(self) -> None:
        """Note that the request has arrived whole."""
        super().on_message_complete()
        self._receiving = self._in_body = False
        self._taken = 0
        if self._at_work:
            self._place.answer()
        else:
            self._place.idle()

    def on_response_complete(self) -> None:
        """Note that it is answered."""
        super().on_response_complete()
        if self.transport.is_closing() or self._over:
            return
        if self._at_work:
            self._place.answer()  # the next of several that came at once
        elif self._receiving:
            self._place.receive()
        else:
            self._place.idle()

    def _enter(self) -> bool:
        """Note that the answer is an event stream; return False when there is no room for one more."""
        if not self._place.may_enter:
            return False
        self._place.enter()
        return True

    def _go_on_alone(self, cycle: RequestResponseCycle) -> EventStreamProtocol | None:
        """Let what is left of the connection be an event stream, as ``STREAM_EXTENSION`` says.

        What was sent behind the request is not answered any more.
        """
        if cycle.disconnected or not cycle.response_started or cycle.response_complete:
            return None
        assert cycle.chunked_encoding
        cycle.response_complete = True  # for the server, which looks when the app returns
        stream = EventStreamProtocol(self.transport, self._place, self.server_state, paused=self.flow.write_paused)
        self.transport.set_protocol(stream)
        self.connections.discard(self)
        self.pipeline.clear()
        self.flow.resume_reading()
        # Each of these stands in a circle with this protocol, and would stay until a collection.
        cycle.scope["extensions"] = {}
        self._over, self.cycle, self.scope, self.parser = True, None, None, None  # type: ignore[assignment]
        return stream

    def _turned_away(self) -> None:
        """Note that the app refuses the request by its head alone.

        The connection ends with the answer, unless a body is on its way still: its sender would be told of a reset.
        """
        self._admission.refused("turned_away", self._place.address)
        if not self.cycle.more_body:
            self.cycle.keep_alive = False

    # -- bounds --

    def expire(self) -> None:
        """Close, as ``api.sockets.connection_limits.Peer`` says; a request that did not arrive is answered 408."""
        if self._over:
            self.transport.abort()
        elif self._receiving:
            self._refuse("request_timeout")
        else:
            self._admission.refused("answer_timeout", self._place.address)
            self.transport.abort()

    def make_room(self) -> None:
        """Close, as ``api.sockets.connection_limits.Peer`` says."""
        self._over = True
        self._leave_app()
        self.transport.abort()

    def go_on(self) -> None:
        """See ``api.sockets.connection_limits.Peer``; only a new connection is held."""

    @property
    def _at_work(self) -> bool:
        """Whether the app makes an answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, reason: str) -> None:
        """Answer with ``reason``, as far as the answer can't be taken for that to another request, and close."""
        self._admission.refused(reason, self._place.address)
        self._over = True
        answerable = self._answerable and reason != "too_many_pipelined"
        self._leave_app()
        if not answerable:
            self.transport.close()
            return
        self.transport.write(answer_of(reason))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.abort)

    @property
    def _answerable(self) -> bool:
        """Whether what is written now is taken for the answer to the request that is arriving."""
        if self._in_body:
            return self._at_work and not self.pipeline and not self.cycle.response_started
        return not self._at_work

    def _leave_app(self) -> None:
        """Let the app know that nobody waits for its answer."""
        self.pipeline.clear()
        if self._at_work:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > LINGER_BYTES and not self.transport.is_closing():
            self.transport.pause_reading()


@functools.cache
def answer_of(reason: str) -> bytes:
    """Return the whole answer to a request that is refused for ``reason``, after which the connection ends."""
    error = ApiError(reason)
    body = orjson.dumps({"detail": reason})
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **(error.headers or {}),
    }
    lines = [f"HTTP/1.1 {error.status_code} {http.HTTPStatus(error.status_code).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
