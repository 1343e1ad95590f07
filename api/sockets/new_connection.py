"""A connection before its first byte: the cheapest that can be had, since strangers open them by the thousand.

It has a place (``api.sockets.connection_limits``) or is refused.  While it is held, it is a socket that nobody reads;
with its first byte it becomes a ``BoundedHttpProtocol``.  Until then there is no parser and nothing of a request.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from api.sockets.connection_limits import Admission, Slot
from api.sockets.http_protocol import BoundedHttpProtocol, answer_of

if TYPE_CHECKING:
    from uvicorn.server import ServerState

__all__ = ["Host", "NewConnection", "take"]

#: How much of an unwanted request is read, lest its sender be told of a reset and not of the refusal.
UNWANTED_BYTES: Final = 64 * 1024


class Host:
    """What all new connections of a server share.

    Args:
        admission: their places.
        state: uvicorn's, whose ``connections`` are ended with the server.
        make_http: what reads requests, given a connection's place.
    """

    def __init__(
        self, admission: Admission, state: ServerState, make_http: Callable[[Slot], BoundedHttpProtocol]
    ) -> None:
        self.admission = admission
        self.state = state
        self.make_http = make_http
        self.loop = asyncio.get_running_loop()
        #: Tasks that open connections, kept so that they are not collected half-way.
        self.opening: set[asyncio.Task[None]] = set()


def take(host: Host, connection: socket.socket, address: str) -> None:
    """Give an accepted ``connection`` a place, or refuse and close it."""
    new = NewConnection(host, connection)
    slot = host.admission.admit(new, address)
    if slot is None:
        host.admission.refused("full", address)
        _refuse(connection)
    else:
        new.begin(slot)


def _refuse(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(UNWANTED_BYTES)
    with suppress(OSError):
        connection.send(answer_of("overloaded"))
    connection.close()


class NewConnection(asyncio.Protocol):
    """A connection that has not sent a byte."""

    def __init__(self, host: Host, connection: socket.socket) -> None:
        self._host = host
        self._connection = connection
        self._slot: Slot
        self._opened = False
        self._transport: asyncio.Transport | None = None
        self._ended = False

    def begin(self, slot: Slot) -> None:
        """Wait for the first byte, or to be let go on."""
        self._slot = slot
        self._host.state.connections.add(self)  # type: ignore[arg-type]  # for ``shutdown``
        if not slot.held:
            self.go_on()

    # -- what becomes of its place, see ``api.sockets.connection_limits.Peer`` --

    def go_on(self) -> None:
        """Begin to read."""
        self._opened = True
        opening = self._host.loop.create_task(self._open())
        self._host.opening.add(opening)
        opening.add_done_callback(self._host.opening.discard)

    def expire(self) -> None:
        """End it: not a byte has come in time."""
        self._host.admission.refused("silent", self._slot.address)
        self.shutdown()

    def make_room(self) -> None:
        """End it for another connection."""
        self.shutdown()

    def shutdown(self) -> None:
        """End it; the server does this when it ends itself."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()
        elif not self._opened:
            self._connection.close()
            self._leave()

    # -- its transport --

    async def _open(self) -> None:
        try:
            await self._host.loop.connect_accepted_socket(lambda: self, self._connection)
        except OSError:  # it has ended meanwhile
            self._connection.close()
            self._leave()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or cut it off if it is too late for that."""
        self._transport = transport
        if self._ended:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand the connection over to the HTTP protocol with its first bytes."""
        if self._ended or self._transport is None:
            return
        successor = self._host.make_http(self._slot)
        self._host.state.connections.discard(self)
        self._transport.set_protocol(successor)
        successor.connection_made(self._transport)
        successor.data_received(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Give the place back."""
        self._leave()

    def _leave(self) -> None:
        self._host.state.connections.discard(self)
        self._slot.leave()
