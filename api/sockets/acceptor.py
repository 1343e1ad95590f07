"""Accepts connections from a listening socket: at a bounded pace, and none that its client has closed already.

An event loop takes all that it finds, as long as it finds some.  Here at most ``AT_ONCE`` are taken, then none for
``PAUSE_S``: some 2,000 a second.  Those beyond it stay in the kernel's backlog, in their order, and cost nothing
there; when that is full, the kernel lets a client try again after a second.  What has been closed without a byte is
dropped before anything is made for it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

__all__ = ["AT_ONCE", "PAUSE_S", "Acceptor"]

log = structlog.get_logger(__name__)

AT_ONCE: Final = 4
PAUSE_S: Final = 0.002
#: How long nothing is taken after the process, or the system, had no file left.
NO_FILES_PAUSE_S: Final = 0.5


class Acceptor:
    """Accepts until ``close``, which closes the socket too.

    Args:
        listening: bound.
        take: what is done with each connection, which does not block, and its peer's address (empty: it has none).
        backlog: how many the kernel keeps.
    """

    def __init__(self, listening: socket.socket, take: Callable[[socket.socket, str], None], *, backlog: int) -> None:
        self._listening = listening
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None
        self._closed = False
        listening.setblocking(False)
        listening.listen(backlog)
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Take no more; connections that were taken go on."""
        if self._closed:
            return
        self._closed = True
        if self._resting is None:
            self._loop.remove_reader(self._listening)
        else:
            self._resting.cancel()
        self._listening.close()

    async def wait_closed(self) -> None:
        """Return at once: ``close`` has nothing to wait for."""

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                self._wake_by_reader()
                return
            except ConnectionError:  # gone before it was taken
                continue
            except OSError as error:
                log.warning("accept_failed", error=error.strerror)
                self._rest(NO_FILES_PAUSE_S)
                return
            connection.setblocking(False)
            if _is_over(connection):
                connection.close()
            else:
                # By the loop, so that a fault of one connection does not end the taking of others.
                self._loop.call_soon(self._take, connection, address[0] if isinstance(address, tuple) else "")
        self._rest(PAUSE_S)

    def _rest(self, pause_s: float) -> None:
        if self._resting is None:
            self._loop.remove_reader(self._listening)
        self._resting = self._loop.call_later(pause_s, self._accept)

    def _wake_by_reader(self) -> None:
        if self._resting is not None:
            self._resting = None
            self._loop.add_reader(self._listening, self._accept)


def _is_over(connection: socket.socket) -> bool:
    """Return whether the peer has closed it without a byte."""
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
