"""Sockets that several gateways of a node listen on together."""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 2_048


def shared_socket(host: str, port: int) -> socket.socket:
    """Return a socket listening on ``host:port`` that others may bind too; the kernel spreads connections.

    Raises:
        OSError: the address can't be bound: somebody has it without sharing it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening
