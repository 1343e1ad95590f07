"""What a listening socket hands down to its connections."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from api.sockets.socket_options import UNSENT_MOST_BYTES, await_first_bytes, bound_unsent, find_dead_peers


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


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="Linux, macOS")
def test_a_reader_that_stops_costs_the_kernel_little() -> None:
    with socket.socket() as listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        bound_unsent(listening)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            accepted.settimeout(0.2)
            taken = 0
            with suppress(TimeoutError):
                while taken < 8_000_000:
                    taken += accepted.send(b"x" * 4_096)
            assert taken <= UNSENT_MOST_BYTES + 32_768


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="Linux")
def test_a_connection_is_accepted_with_its_first_byte_and_a_silent_one_later() -> None:
    with socket.socket() as listening, socket.socket() as silent, socket.socket() as client:
        await_first_bytes(listening)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        silent.connect(listening.getsockname())
        client.connect(listening.getsockname())
        client.send(b"x")
        listening.settimeout(20)
        for expected in (client, silent):
            accepted, address = listening.accept()
            accepted.close()
            assert address == expected.getsockname()
