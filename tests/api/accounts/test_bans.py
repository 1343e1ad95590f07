"""A ban holds at sessions and sockets, on every gateway, over reconnects, restarts and a lost Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from redis.asyncio import Redis

from api.accounts.bans import BanList
from api.errors import ApiError
from api.services import Services
from config.settings import Settings
from store import bans
from streaming import keys
from streaming.shared_clock import utc_now
from tests.api.gates import Gate, close_code, running
from tests.api.people import keyed, refused, session, signed_up
from tests.api.support import FakeWorld


async def ban(gate: Gate, kind: bans.BanKind, subject: str) -> None:
    await bans.ban(gate.services.engine, kind, subject, reason="", by="alice", minutes=None)


async def test_no_session_is_opened_and_none_goes_on(http: httpx.AsyncClient, services: Services) -> None:
    person = await signed_up(http)
    key = await keyed(http, person)
    opened = await session(http, key["api_key"], agent_id="a-9")
    bearer = {"authorization": f"Bearer {opened['session_token']}"}
    await bans.ban(services.engine, "agent", "a-9", reason="", by="alice", minutes=None)
    await services.bans.read()
    body = {"api_key": key["api_key"], "role": "agent", "agent_id": "a-9"}
    refused(await http.post("/v1/sessions", json=body), 403, "banned")
    refused(await http.post("/v1/sessions/refresh", headers=bearer), 403, "banned")
    refused(await http.get("/v1/chunks", headers=bearer), 403, "banned")
    other = {"api_key": key["api_key"], "role": "spectator"}
    assert (await http.post("/v1/sessions", json=other)).status_code == 201
    await bans.ban(services.engine, "account", person.account_id, reason="", by="alice", minutes=None)
    await services.bans.read()
    refused(await http.post("/v1/sessions", json=other), 403, "banned")
    await bans.unban(services.engine, "account", person.account_id)
    await bans.unban(services.engine, "agent", "a-9")
    await services.bans.read()
    assert (await http.post("/v1/sessions", json=body)).status_code == 201


@pytest.fixture
async def two(settings: Settings, redis: Redis) -> AsyncIterator[tuple[Gate, Gate]]:
    async with running(settings, FakeWorld(redis=redis)) as first, running(settings, FakeWorld(redis=redis)) as second:
        yield first, second


@pytest.mark.parametrize("told", [True, False])
async def test_open_sockets_are_closed_on_all_gateways_told_or_not(two: tuple[Gate, Gate], told: bool) -> None:
    first, second = two
    path = "/v1/owner/ws?agent_id=a-1"
    token, bystander = await first.token("owner_spectator", "a-1"), await first.token("owner_spectator", "a-2")
    async with (
        first.ws(path, token) as here,
        second.ws(path, token) as there,
        second.ws("/v1/owner/ws?agent_id=a-2", bystander) as other,
    ):
        for socket in (here, there, other):
            await socket.recv()
        await ban(first, "agent", "a-1")
        if told:
            await first.services.batch.command("PUBLISH", keys.OPERATORS_CHANNEL, "bans")
        assert await close_code(here) == (1008, "banned")
        assert await close_code(there) == (1008, "banned")
        assert await first.denied(path, token) == (403, "banned")
        assert await second.denied(path, token) == (403, "banned")
        assert other.close_code is None


async def test_it_holds_in_a_new_gateway_and_with_an_empty_redis(settings: Settings, redis: Redis) -> None:
    async with running(settings, FakeWorld(redis=redis)) as gate:
        await ban(gate, "account", "acc_1")
    await redis.flushall()
    async with running(settings, FakeWorld(redis=redis)) as gate:
        assert await gate.denied("/v1/spectate/ws?chunk_id=demo", await gate.token("spectator")) == (403, "banned")


async def test_a_ban_for_a_time_ends_by_itself(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    await bans.ban(services.engine, "agent", "soon", reason="", by="alice", minutes=60)
    await services.bans.read()
    assert services.bans.bars("acc", "soon")
    later = utc_now() + timedelta(minutes=61)
    monkeypatch.setattr("api.accounts.bans.utc_now", lambda: later)
    await services.bans.check("acc", "soon")


async def test_while_the_bans_could_never_be_read_nobody_comes_in(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> tuple[int, int]:
        raise ConnectionError

    await services.bans.read()
    monkeypatch.setattr(bans, "state", away)
    new = BanList(services.engine)
    with pytest.raises(ApiError, match="unavailable"):
        await new.check("acc", None)
    await services.bans.check("acc", None)  # one that has read them goes by what it knows
