"""Dead, slow and silent peers, as the kernel finds them.

A socket's peer answers pings; an event stream's only acknowledges bytes.  Set on a listening socket, these options
are inherited by every connection that it accepts, which an ASGI app itself can't reach.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

KEEPALIVE_PROBES: Final = 4
#: Bytes that a connection's kernel buffer may hold unsent.  What is on its way to a distant reader comes on top.
UNSENT_MOST_BYTES: Final = 64 * 1024
#: The least that the kernel takes; without a byte the connection comes after it.
FIRST_BYTES_S: Final = 1


def find_dead_peers(listening: socket.socket, dead_after_s: int, heartbeat_s: int) -> None:
    """Let connections accepted by ``listening`` end when their peer has been silent for ``dead_after_s``.

    A heartbeat that is not acknowledged counts from its sending, so together they stay within the limit; where nothing
    is sent, keep-alive probes ask.  A peer that keeps its window closed for as long is ended too.  Options that a
    system lacks are left out.
    """
    unacknowledged_s = max(5, dead_after_s - heartbeat_s)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {
        "TCP_USER_TIMEOUT": unacknowledged_s * 1000,
        "TCP_KEEPIDLE": heartbeat_s,
        "TCP_KEEPINTVL": max(1, unacknowledged_s // KEEPALIVE_PROBES),
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
    }.items():
        option = getattr(socket, name, None)
        if option is not None:
            listening.setsockopt(socket.IPPROTO_TCP, option, value)


def bound_unsent(listening: socket.socket) -> None:
    """Let connections accepted by ``listening`` buffer no more than ``UNSENT_MOST_BYTES`` that are not on their way.

    Otherwise the kernel takes megabytes for a reader that has stopped: it costs as much, reads old news for minutes
    when it goes on, and its queue, which would notice, never fills.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        with suppress(OSError):  # a system that can't is left as it is
            listening.setsockopt(socket.IPPROTO_TCP, option, UNSENT_MOST_BYTES)


def await_first_bytes(listening: socket.socket) -> None:
    """Let ``listening`` accept a connection when it has sent something, or ``FIRST_BYTES_S`` after it was opened.

    A connection that is closed before costs this process nothing; until then it takes no file of ours, and is one of
    those that the kernel keeps for connections that are being opened.
    """
    option = getattr(socket, "TCP_DEFER_ACCEPT", None)
    if option is not None:
        with suppress(OSError):  # a system that can't is left as it is
            listening.setsockopt(socket.IPPROTO_TCP, option, FIRST_BYTES_S)
