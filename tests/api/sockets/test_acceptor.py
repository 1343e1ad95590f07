"""Connections by the thousand: taken a few at a time, and not at all when they are over."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from api.sockets import acceptor as acceptor_module
from api.sockets.acceptor import AT_ONCE, Acceptor


class Taken:
    """An acceptor of a test, and what it has taken."""

    def __init__(self) -> None:
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.port = self.listening.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.addresses: list[str] = []
        self.acceptor = Acceptor(self.listening, self._take, backlog=100)

    def _take(self, connection: socket.socket, address: str) -> None:
        self.connections.append(connection)
        self.addresses.append(address)

    def open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    async def count_is(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.connections) < count:
                await asyncio.sleep(0.005)

    def close(self) -> None:
        self.acceptor.close()
        for connection in self.connections:
            connection.close()


@pytest.fixture
async def taken() -> AsyncIterator[Taken]:
    taken = Taken()
    yield taken
    taken.close()


async def test_a_few_at_once_then_others_have_their_turn(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor_module, "PAUSE_S", 0.2)
    clients = [taken.open() for _ in range(3 * AT_ONCE)]
    await asyncio.sleep(0.05)
    assert len(taken.connections) == AT_ONCE
    await taken.count_is(len(clients))
    assert taken.addresses == ["127.0.0.1"] * len(clients)
    late = taken.open()
    await taken.count_is(len(clients) + 1)
    for client in (*clients, late):
        client.close()


async def test_what_is_over_already_is_not_taken(taken: Taken) -> None:
    for _ in range(2 * AT_ONCE):
        taken.open().close()
    with taken.open() as sent, taken.open():
        sent.send(b"x")
        await taken.count_is(2)
        assert len(taken.connections) == 2
        assert taken.connections[0].recv(1) == b"x", "looked at, and left there"
        assert not taken.connections[0].getblocking()


async def test_without_files_it_tries_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(acceptor_module, "NO_FILES_PAUSE_S", 0.02)
    failures = [OSError(errno.EMFILE, "too many open files"), ConnectionAbortedError()]

    class Listening(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            if failures:
                raise failures.pop(0)
            return super().accept()

    monkeypatch.setattr("socket.socket", Listening)
    taken = Taken()
    monkeypatch.undo()
    with taken.open():
        await taken.count_is(1)
    taken.close()
    assert "too many open files" in capsys.readouterr().out


async def test_closed_it_takes_no_more_whether_it_rests_or_not() -> None:
    for resting in (False, True):
        taken = Taken()
        clients = [taken.open() for _ in range(AT_ONCE if resting else 0)]
        await taken.count_is(len(clients))
        taken.acceptor.close()
        taken.acceptor.close()
        await taken.acceptor.wait_closed()
        with suppress(ConnectionRefusedError), taken.open():
            raise AssertionError("still listening")
        for client in clients:
            client.close()
        taken.close()
