"""What a listening socket hands down to its connections."""

from __future__ import annotations

import socket

import pytest

from api.streams_listening import find_dead_peers


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux")
def test_connections_inherit_the_limits() -> None:
    with socket.socket() as listening, socket.socket() as client:
        find_dead_peers(listening, dead_after_s=40, heartbeat_s=15)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000
            idle = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            between = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
            count = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
            assert idle + between * count <= 40
