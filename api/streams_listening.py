"""Dead readers of event streams, as the kernel finds them.

A socket's peer answers pings; an event stream's only acknowledges bytes.  Set on a listening socket, these options
are inherited by every connection that it accepts, which an ASGI app itself can't reach.
"""

from __future__ import annotations

import socket
from typing import Final

KEEPALIVE_PROBES: Final = 4


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
