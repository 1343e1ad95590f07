"""One WebSocket connection of a simulated agent, on picows: callbacks from C, no task and no queue for each.

100 agents with 500 deltas and 50 commands a second take 5.0 % of a processor with it, most of that in system calls; the
same as ``chunkcrawl.Agent``, which parses every delta and reads through websockets, 8.9 %.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final, Protocol

import picows

from chunkcrawl.errors import ChunkcrawlError, ServerUnreachable
from chunkcrawl.transport.connection import FRAME_MAX_BYTES, OPEN_TIMEOUT_S
from chunkcrawl.transport.http import Session, bearer, error_of, websocket_url
from loadtest.group import AgentGroup

__all__ = ["SLOW_BUFFER_BYTES", "Hearer", "PicowsConnection", "open_connection", "small_socket"]

#: Receive buffer of a slow reader: what the kernel keeps for it would otherwise hide for minutes that it is slow.
SLOW_BUFFER_BYTES: Final = 4096


class Hearer(Protocol):
    """What a connection tells of what happens on it."""

    def opened(self, connection: PicowsConnection) -> None:
        """Take the open connection; messages may follow before ``open_connection`` returns."""
        ...

    def heard(self, connection: PicowsConnection, raw: bytes, now: float) -> None:
        """Take a text message, and when it came, of ``time.perf_counter``."""
        ...


class PicowsConnection(picows.WSListener):
    """A connection.  ``ended`` is done when it is over."""

    def __init__(self, hearer: Hearer, group: AgentGroup) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: What the server closed it with; None when it just broke, or we ended it.
        self.close_code: int | None = None
        #: Whether we ended it.
        self.ours = False
        #: When the last message came, of ``time.perf_counter``.
        self.heard_at = time.perf_counter()
        self._hearer, self._group = hearer, group
        self._transport: picows.WSTransport | None = None

    # -- for the agent --

    def send(self, frame: str) -> None:
        """Send a text frame; nothing happens on a connection that has ended."""
        if self._transport is not None and not self.ended.done():
            self._transport.send(picows.WSMsgType.TEXT, frame.encode())

    def cut(self) -> None:
        """Break the connection off without a close frame, as a network failure would."""
        self.ours = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def close(self) -> None:
        """End it in order."""
        self.ours = True
        if self._transport is not None and not self.ended.done():
            self._transport.send_close(picows.WSCloseCode.OK)
            self._transport.disconnect()

    def pause(self, paused: bool) -> None:
        """Stop reading, or go on."""
        if self._transport is None or self.ended.done():
            return
        transport = self._transport.underlying_transport
        if paused:
            transport.pause_reading()
        else:
            transport.resume_reading()

    # -- for picows --

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Note the transport."""
        self._transport = transport
        self._hearer.opened(self)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Hand a text message on, and note what a close frame says."""
        self.heard_at = now = time.perf_counter()
        if frame.msg_type == picows.WSMsgType.TEXT:
            try:
                self._hearer.heard(self, frame.get_payload_as_bytes(), now)
            except Exception as error:
                # picows would log it and close the connection, which would be counted as the server's doing.
                self._group.fail(error)
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code())  # type: ignore[call-overload]  # an int for codes of one's own
            if not transport.is_close_frame_sent:
                transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """End the connection."""
        if not self.ended.done():
            self.ended.set_result(None)


async def open_connection(
    group: AgentGroup, session: Session, query: dict[str, str], hearer: Hearer, *, slow: bool
) -> PicowsConnection:
    """Connect an agent; ``slow`` for one that will not read what comes.

    Raises:
        ServerUnreachable: There is no connection.
        ApiError: The server refuses the handshake.
    """
    url = websocket_url(group.plan.base, "/v1/agent/ws", query)
    try:
        _, connection = await picows.ws_connect(
            lambda: PicowsConnection(hearer, group),
            url,
            ssl_context=group.tls,
            extra_headers=bearer(session.session_token),
            websocket_handshake_timeout=OPEN_TIMEOUT_S,
            max_frame_size=FRAME_MAX_BYTES,
            max_redirects=0,
            socket_factory=_small_socket_of_url if slow else None,
        )
    except picows.WSError as error:
        raise _refused(error) from None
    except (OSError, TimeoutError) as error:
        raise ServerUnreachable(f"{group.plan.base}: {type(error).__name__} {error}".rstrip()) from None
    if not isinstance(
        connection, PicowsConnection
    ):  # picows gives none when the connection broke before the handshake was over
        raise ServerUnreachable(f"{group.plan.base}: closed during the handshake")
    return connection


async def small_socket(host: str, port: int) -> socket.socket:
    """Return a connected TCP socket with a receive buffer of ``SLOW_BUFFER_BYTES``."""
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        await loop.sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


async def _small_socket_of_url(url: picows.WSParsedURL) -> socket.socket:
    return await small_socket(url.host, url.port)


def _refused(error: picows.WSError) -> ChunkcrawlError:
    response = getattr(error, "response", None)
    if response is None:
        return ServerUnreachable(f"{type(error).__name__}: {error}")
    return error_of(int(response.status), response.headers, getattr(error, "raw_body", None) or response.body or b"")
