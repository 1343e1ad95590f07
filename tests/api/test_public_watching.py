"""Watching without a token: where the settings allow it, and no more than that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.services import Services
from config.settings import Settings
from tests.api.people import bearer, refused
from tests.api.support import FakeWorld

ROUTE = "/v1/spectate/session"
Opened = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def in_prod(settings: Settings, world: FakeWorld) -> Opened:
    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        prod = Settings(
            environment="prod",
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            secret_pepper="p" * 40,
            **changes,
        )
        services = Services.build(prod, world)
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://world.example") as client:
            yield client
        await services.close()

    return opened


async def test_it_is_closed_unless_the_settings_open_it(http: httpx.AsyncClient, in_prod: Opened) -> None:
    refused(await http.post(ROUTE), 403, "watching_not_public")
    async with in_prod() as closed:
        refused(await closed.post(ROUTE), 403, "watching_not_public")


async def test_anybody_gets_a_spectators_session_from_any_page_and_nothing_more(in_prod: Opened) -> None:
    async with in_prod(public_watching=True) as http:
        opened = await http.post(ROUTE, headers={"origin": "https://elsewhere.example"})
        assert opened.status_code == 201
        session = opened.json()
        assert (session["role"], session["agent_id"]) == ("spectator", None)
        mine = bearer(session["session_token"])
        assert (await http.get("/v1/chunks", headers=mine)).status_code == 200
        assert (await http.post("/v1/sessions/refresh", headers=mine)).status_code == 200
        refused(await http.get("/v1/owner/stream?agent_id=somebody", headers=mine), 403, "invalid_scope")
        assert (await http.get("/v1/agents", headers=mine)).status_code == 401


async def test_an_address_may_open_so_many(in_prod: Opened) -> None:
    async with in_prod(public_watching=True, limit_address_watchers="2+1/h") as http:
        statuses = [(await http.post(ROUTE)).status_code for _ in range(3)]
        assert statuses == [201, 201, 429]
