"""What operators have for all gateways: notices, an agent disconnected; what is no order changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from api.accounts.bans import BanList
from api.sockets.connections import Connections
from api.sockets.operator_orders import OperatorOrders
from config.settings import Settings
from streaming.entry import SharedEvent
from tests.api.gates import Gate, close_code, receive_until, running
from tests.api.support import FakeWorld


@pytest.fixture
async def gate(settings: Settings, redis: Redis) -> AsyncIterator[Gate]:
    async with running(settings, FakeWorld(redis=redis)) as gate:
        yield gate


async def test_an_agent_is_disconnected_and_may_come_back(gate: Gate) -> None:
    path, token = "/v1/owner/ws?agent_id=a-1", await gate.token("owner_spectator", "a-1")
    async with gate.ws(path, token) as socket:
        await socket.recv()
        await gate.services.batch.command("PUBLISH", "ctl:operators", "disconnect a-1")
        assert await close_code(socket) == (1008, "disconnected")
    async with gate.ws(path, token) as socket:
        await socket.recv()
        payload = '{"notice":"announcement","text":"good night","chunk_id":null}'
        await gate.services.batch.command("PUBLISH", "ctl:operators", f"notice {payload}")
        notice = (await receive_until(socket, "operator_notice"))[-1]
        assert notice["payload"] == {"notice": "announcement", "text": "good night", "chunk_id": None}


class Told(Connections):
    """Notes what everybody is told."""

    def __init__(self) -> None:
        self.told: list[SharedEvent] = []
        self.closed: list[str] = []

    def tell(self, event: SharedEvent) -> None:
        self.told.append(event)

    def close_agent(self, agent_id: str) -> None:
        self.closed.append(agent_id)


class NoBans(BanList):
    """Notes that it is to look."""

    def __init__(self) -> None:
        self.looked = 0

    def look_now(self) -> None:
        self.looked += 1


@pytest.mark.parametrize(
    "message", [b"", b"notice {", b"notice", b"disconnect", b"disconnect a b", b"\xff\xfe", b"x y"]
)
def test_what_is_no_order_changes_nothing(message: bytes) -> None:
    connections, bans = Told(), NoBans()
    OperatorOrders(None, connections, bans).heard(message)  # type: ignore[arg-type]
    assert (connections.told, connections.closed) == ([], [])


def test_lost_messages_have_the_bans_looked_at() -> None:
    bans = NoBans()
    OperatorOrders(None, Told(), bans).heard(None)  # type: ignore[arg-type]
    assert bans.looked == 1
