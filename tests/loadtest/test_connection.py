"""Sockets of simulated agents, against a server that does as it is told."""

from __future__ import annotations

import asyncio
import json

import pytest

from chunkcrawl.errors import Forbidden, InvalidSession, NotReady, ServerUnreachable
from chunkcrawl.transport.http import Session
from loadtest.connection import PicowsConnection, open_connection
from loadtest.group import AgentGroup
from tests.loadtest.makers import plan
from tests.sdk.fake_server import FakeServer


class Hearer:
    def __init__(self) -> None:
        self.lines: list[PicowsConnection] = []
        self.kinds: list[str] = []

    def opened(self, connection: PicowsConnection) -> None:
        self.lines.append(connection)

    def heard(self, connection: PicowsConnection, raw: bytes, now: float) -> None:
        assert connection in self.lines, "opened comes first"
        self.kinds.append(json.loads(raw)["type"])


async def connected(server: FakeServer, hearer: Hearer, *, slow: bool = False) -> tuple[AgentGroup, PicowsConnection]:
    group = AgentGroup(plan(base=server.base), server.api(), "dcw_good")
    server.live_tokens.add("sess_1")
    session = Session("sess_1", "jti_1", "agent", "secret")
    return group, await open_connection(group, session, {"agent_id": "scout"}, hearer, slow=slow)


async def until_heard(hearer: Hearer, kind: str) -> None:
    async with asyncio.timeout(5):
        while kind not in hearer.kinds:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("slow", [False, True])
async def test_hears_from_the_first_message_on(slow: bool) -> None:
    hearer = Hearer()
    async with FakeServer().running() as server:
        _, connection = await connected(server, hearer, slow=slow)
        await until_heard(hearer, "chunk_delta")
        assert hearer.kinds == ["session_ready", "chunk_static", "chunk_delta"]
        connection.send(json.dumps({"type": "ping", "payload": {}}))
        await until_heard(hearer, "heartbeat")
        connection.close()
        await asyncio.wait_for(connection.ended, 5)
    assert connection.ours
    assert connection.close_code is None
    connection.send("{}")
    connection.pause(True)


async def test_close_codes_of_the_servers_own_are_kept() -> None:
    hearer = Hearer()
    async with FakeServer().running() as server:
        _, connection = await connected(server, hearer)
        await until_heard(hearer, "chunk_delta")
        await server.sockets[0].close(4002, "slow")
        await asyncio.wait_for(connection.ended, 5)
    assert (connection.close_code, connection.ours) == (4002, False)


async def test_a_broken_line_has_no_code() -> None:
    hearer = Hearer()
    async with FakeServer().running() as server:
        _, connection = await connected(server, hearer)
        await until_heard(hearer, "chunk_delta")
        server.sockets[0].transport.abort()
        await asyncio.wait_for(connection.ended, 5)
    assert (connection.close_code, connection.ours) == (None, False)


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [(401, InvalidSession, "invalid_session"), (403, Forbidden, "agent_not_owned"), (503, NotReady, "not_ready")],
)
async def test_refused_handshakes(status: int, error: type[Exception], reason: str) -> None:
    async with FakeServer().running() as server:
        server.refuse_sockets.append(status)
        with pytest.raises(error) as refused:
            await connected(server, Hearer())
    assert getattr(refused.value, "reason", None) == reason


async def test_nobody_listens() -> None:
    server = FakeServer()
    server.base = "http://127.0.0.1:1"
    for slow in (False, True):
        with pytest.raises(ServerUnreachable):
            await connected(server, Hearer(), slow=slow)


async def test_closed_during_the_handshake() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(close, "127.0.0.1", 0)
    server = FakeServer()
    server.base = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        with pytest.raises(ServerUnreachable):
            await connected(server, Hearer())


async def test_a_fault_of_ours_is_kept_and_not_taken_for_the_servers() -> None:
    class Broken(Hearer):
        def heard(self, connection: PicowsConnection, raw: bytes, now: float) -> None:
            raise ZeroDivisionError

    async with FakeServer().running() as server:
        group, connection = await connected(server, Broken())
        async with asyncio.timeout(5):
            while group.defect is None:
                await asyncio.sleep(0.001)
        assert not connection.ended.done()
        connection.cut()
        await asyncio.wait_for(connection.ended, 5)
    assert isinstance(group.defect, ZeroDivisionError)
