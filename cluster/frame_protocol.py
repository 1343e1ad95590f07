"""uvicorn's sans-I/O WebSocket protocol with a second door: text frames written straight to the transport.

An ASGI ``send`` costs some 25 us (a dict, an await, a parser's state machine) for what is one write of bytes that
are at hand. ``scope["extensions"][EXTENSION]`` holds a ``FrameWriter``; an app that finds none there uses ``send``.
Both write whole frames at once, in the order of the calls, so they may be mixed.
"""

from __future__ import annotations

import socket
import struct
from asyncio import BaseTransport

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

EXTENSION = "chunkcrawl.frames"

CLOSE_TOO_SLOW = 4002
TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)

FINAL_TEXT = 0x81
SHORT_MOST = 125
MEDIUM_MOST = 0xFFFF


def text_frame(payload: bytes) -> bytes:
    """An unmasked, final text frame (RFC 6455, section 5.2); the extensions of this server never touch it."""
    length = len(payload)
    if length <= SHORT_MOST:
        return bytes((FINAL_TEXT, length)) + payload
    if length <= MEDIUM_MOST:
        return struct.pack("!BBH", FINAL_TEXT, 126, length) + payload
    return struct.pack("!BBQ", FINAL_TEXT, 127, length) + payload


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
        self._protocol.transport.write(text_frame(payload))
        return True


class FrameProtocol(WebSocketsSansIOProtocol):
    """See the module.  Pass it to uvicorn as ``ws``."""

    pings = 0
    pongs = 0

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # else the handshake was refused and there is no scope
            extensions = self.scope["extensions"]
            if extensions is not None:
                extensions[EXTENSION] = FrameWriter(self)  # type: ignore[assignment]

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        # The listening socket sets it for event streams, whose peers can't be pinged; these can, and may read slowly.
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family in (socket.AF_INET, socket.AF_INET6) and TCP_USER_TIMEOUT is not None:
            peer.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 0)

    def keepalive_timeout(self) -> None:
        """A peer that does not answer pings is dead or does not read: 4002, where uvicorn has 1011."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(CLOSE_TOO_SLOW, "too_slow")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def send_keepalive_ping(self) -> None:
        super().send_keepalive_ping()
        if self.pending_ping_payload is not None:
            self.pings += 1

    def handle_pong(self, event: Frame) -> None:
        super().handle_pong(event)
        if self.pending_ping_payload is None:
            self.pongs = self.pings
