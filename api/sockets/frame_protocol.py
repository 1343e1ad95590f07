"""uvicorn's sans-I/O WebSocket protocol with a way to write past ASGI, and bounds on what a peer may send how fast.

That way writes text frames straight to the transport: an ASGI ``send`` costs some 25 us (a dict, an await, a parser's
state machine) for what is one write of bytes that are at hand.  ``scope["extensions"][EXTENSION]``
holds a ``FrameWriter``; an app that finds none there uses ``send``.  Both write whole frames at once, in the order of
the calls, so they may be mixed.

Frames that come in are parsed a little at a time, so that a megabyte of tiny ones does not keep the event loop from
everybody else, and no faster than ``FRAMES_PER_S``: beyond it the peer is not read.

What comes as one whole text frame, as nearly everything that clients send, may be handed to the app in the turn of the
loop in which it came (``FrameWriter.take_whole``): no parser, queue or task is woken for it, and reading is not stopped
and begun again, which would be two system calls.  See docs/decisions/0056-a-command-in-the-gateway.md.
"""

from __future__ import annotations

import socket
import time
from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.streams import StreamReader

from streaming.framing import text_frame_head, text_of_frame

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

    from api.sockets.connection_limits import Slot

EXTENSION: Final = "chunkcrawl.frames"

CLOSE_TOO_BIG: Final = 1009
CLOSE_TOO_SLOW: Final = 4002
TCP_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)

#: Frames of a peer that are parsed: so many at once, and so many a second after that.
FRAMES_AT_ONCE: Final = 1_000
FRAMES_PER_S: Final = 200.0
#: How many bytes are parsed before other connections have their turn.
SLICE_BYTES: Final = 2 * 1024
#: Fragments of one message.  Empty ones would not count against its size.
FRAGMENTS_MOST: Final = 1_024
#: Where the parser is while it waits for the first byte of a frame.
BETWEEN_FRAMES: Final = StreamReader.at_eof.__code__


def text_frame(payload: bytes) -> bytes:
    """Make an unmasked, final text frame; the extensions of this server never touch it."""
    return text_frame_head(len(payload)) + payload


def _is_between_frames(parser: Generator[None, None, None]) -> bool:
    """Return whether the parser has made frames of all that it was given."""
    waits: Any = parser
    while (inner := waits.gi_yieldfrom) is not None:
        waits = inner
    return waits.gi_code is BETWEEN_FRAMES


class FrameWriter:
    """Writes without waiting; the caller looks at ``buffered`` and stops (or closes) when the peer does not read.

    ``pongs`` counts the pings that the peer has answered: everything written before ``pings`` was that high and
    the ping was answered has arrived.
    """

    __slots__ = ("_protocol",)

    def __init__(self, protocol: FrameProtocol) -> None:
        self._protocol = protocol

    @property
    def open(self) -> bool:
        """Whether frames can be written: the handshake is done, no close has been sent."""
        protocol = self._protocol
        return protocol.handshake_complete and not protocol.close_sent and not protocol.transport.is_closing()

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._protocol.transport.get_write_buffer_size()

    @property
    def pings(self) -> int:
        """Pings sent so far."""
        return self._protocol.pings

    @property
    def pongs(self) -> int:
        """Pings answered so far."""
        return self._protocol.pongs

    def write(self, payload: bytes) -> bool:
        """Send ``payload`` (UTF-8) as a text frame; False when the connection can't take it any more."""
        if not self.open:
            return False
        self.push(text_frame(payload))
        return True

    def take_whole(self, take: Callable[[bytes], bool] | None) -> None:
        """Have ``take`` asked first for each text message (bytes, maybe no UTF-8) that comes as one whole frame.

        Its answer says whether it is dealt with; else ASGI's ``receive`` brings it.  It is not asked while messages
        wait there, and must not raise.  Whether the app still works on the last one it has to know itself.
        """
        self._protocol.take = take

    def takes(self, most: int) -> bool:
        """See ``api.sockets.direct.DirectWriter``."""
        return self.open and self._protocol.transport.get_write_buffer_size() <= most

    def push(self, data: bytes) -> None:
        """Write a whole frame."""
        self._protocol.transport.write(data)


class FrameProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with a ``FrameWriter`` and bounds.  Pass it to uvicorn as ``ws``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pings = 0
        self.pongs = 0
        self._slot: Slot | None = None
        self._credit = float(FRAMES_AT_ONCE)
        self._credit_at = 0.0
        #: What has come and is not parsed yet; nothing more is read meanwhile.
        self._held = bytearray()
        self._turn: TimerHandle | None = None
        #: See ``FrameWriter.take_whole``.
        self.take: Callable[[bytes], bool] | None = None
        #: Nothing of a frame or of a message has come yet: the next byte begins one.
        self._between = False

    def take_place(self, slot: Slot) -> None:
        """Take the connection's place over from HTTP."""
        self._slot = slot
        slot.peer = self

    def expire(self) -> None:
        """Close, as ``api.sockets.connection_limits.Peer`` says: the app did not accept in time."""
        self.transport.abort()

    make_room = expire

    def go_on(self) -> None:
        """See ``api.sockets.connection_limits.Peer``; only a new connection is held."""

    # -- frames in --

    def data_received(self, data: bytes) -> None:
        """Take bytes; they are parsed a little at a time."""
        # What comes before the handshake is accepted waits for it: the parser could not answer a ping yet.
        early = self.handshake_initiated and not self.handshake_complete
        if not early and not self._held and len(data) <= SLICE_BYTES:
            if not self._take_whole(data):
                self._parse(data)
            if self._credit > 0 or self.transport.is_closing():
                return
        else:
            self._held += data
        if not self.transport.is_closing():
            self.transport.pause_reading()
            self._plan_turn()

    def _take_whole(self, data: bytes) -> bool:
        take = self.take
        if take is None or not self._between or self.close_sent or self.read_paused or not self.queue.empty():
            return False
        message = text_of_frame(data)
        if message is None or not take(message):
            return False
        self._earn_credit()
        self._credit -= 1
        return True

    def _parse(self, data: bytes) -> None:
        self._earn_credit()
        super().data_received(data)
        conn = self.conn
        self._between = conn.state is State.OPEN and conn.current_size is None and _is_between_frames(conn.parser)

    def _earn_credit(self) -> None:
        now = time.monotonic()
        self._credit = min(float(FRAMES_AT_ONCE), self._credit + (now - self._credit_at) * FRAMES_PER_S)
        self._credit_at = now

    def handle_events(self) -> None:
        """Handle what the parser has found."""
        self._credit -= len(self.conn.events)
        super().handle_events()

    def _plan_turn(self) -> None:
        if self._turn is None and self.handshake_complete:
            self._turn = self.loop.call_later(max(0.0, 1 - self._credit) / FRAMES_PER_S, self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        if self.transport.is_closing():
            return
        data = bytes(self._held[:SLICE_BYTES])
        del self._held[:SLICE_BYTES]
        self._parse(data)
        if self.transport.is_closing():
            return
        if self._held or self._credit <= 0:
            self._plan_turn()
        elif not self.read_paused:
            self.transport.resume_reading()

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment of a message, of which there may not be too many."""
        if len(self.frames) >= FRAGMENTS_MOST:
            self._fail(CLOSE_TOO_BIG, "too_many_fragments")
            return
        super().handle_cont(event)

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next ASGI message for the app."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            if self._turn is None:
                self.transport.resume_reading()
        return message

    def handle_parser_exception(self) -> None:
        """End the connection of a peer that breaks the protocol."""
        if self.conn.close_sent is None:  # so early that there is nobody to tell
            self.transport.abort()
            return
        super().handle_parser_exception()

    # -- start and stop --

    async def send(self, message: ASGISendEvent) -> None:
        """Send an ASGI message of the app."""
        await super().send(message)
        if message["type"] == "websocket.accept" and not self.disconnected:
            if self._slot is not None:
                self._slot.enter()
            if self._held:
                self._plan_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        if self._slot is not None:
            self._slot.leave()
        if self._turn is not None:
            self._turn.cancel()
        self._held.clear()
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        """Take the handshake."""
        super().handle_connect(event)
        if not self.close_sent:  # else the handshake was refused and there is no scope
            extensions = self.scope["extensions"]
            if extensions is not None:
                extensions[EXTENSION] = FrameWriter(self)  # type: ignore[assignment]

    def connection_made(self, transport: BaseTransport) -> None:
        """Take the connection."""
        super().connection_made(transport)
        # The listening socket sets it for event streams, whose peers can't be pinged; these can, and may read slowly.
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family in (socket.AF_INET, socket.AF_INET6) and TCP_USER_TIMEOUT is not None:
            peer.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 0)

    def keepalive_timeout(self) -> None:
        """Close with 4002, where uvicorn has 1011: a peer that does not answer pings is dead or does not read."""
        self.pong_timer = None
        self.pending_ping_payload = None
        self._fail(CLOSE_TOO_SLOW, "too_slow")

    def _fail(self, code: int, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def send_keepalive_ping(self) -> None:
        """Send a ping, and count it."""
        super().send_keepalive_ping()
        if self.pending_ping_payload is not None:
            self.pings += 1

    def handle_pong(self, event: Frame) -> None:
        """Count the answer to a ping."""
        super().handle_pong(event)
        if self.pending_ping_payload is None:
            self.pongs = self.pings
