from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.app import create_app
from api.ports import ShardAnswer, SubmittedCommand
from api.services import Services
from config.settings import Settings
from streaming import keys
from tests.api.people import bearer, playing, refused
from tests.api.support import FakeClock, FakeWorld

DEV = bearer("test-spectator-token")
ROUTES = [
    ("/v1/dev/spectator-session", None),
    ("/v1/dev/owner-session", {"agent_id": "a-1"}),
    ("/api/v1/dev/owner-session", {"agent_id": "a-1"}),
    ("/v1/dev/agent/move-to", {"agent_id": "a-1", "x": 1, "y": 2}),
    ("/api/v1/dev/agent/move-to", {"agent_id": "a-1", "x": 1, "y": 2}),
]


@pytest.fixture
async def in_prod(settings: Settings, world: FakeWorld) -> AsyncIterator[httpx.AsyncClient]:
    prod = Settings(
        environment="prod",
        database_url=settings.database_url,
        redis_url=settings.redis_url,
        secret_pepper="p" * 40,
    )
    services = Services.build(prod, world)
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await services.close()


@pytest.fixture
async def seated(redis: Redis) -> None:
    await redis.hset(keys.agent("a-1"), mapping={"here": "1", "chunk": "chunk-0"})


async def test_a_spectators_session_without_a_key(http: httpx.AsyncClient) -> None:
    opened = await http.post("/v1/dev/spectator-session")
    assert opened.status_code == 201
    assert (opened.json()["role"], opened.json()["agent_id"]) == ("spectator", None)
    answer = await http.post("/v1/sessions/refresh", headers=bearer(opened.json()["session_token"]))
    assert answer.status_code == 200


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_an_owners_session_for_any_agent(http: httpx.AsyncClient, prefix: str) -> None:
    await playing(http, "somebodys")
    for body, agent_id in (({"agent_id": "somebodys"}, "somebodys"), ({}, "demo-player"), (None, "demo-player")):
        opened = await http.post(f"{prefix}/v1/dev/owner-session", json=body)
        assert opened.status_code == 201
        assert (opened.json()["role"], opened.json()["agent_id"]) == ("owner_spectator", agent_id)


async def test_a_dev_sessions_row_reaches_the_database(http: httpx.AsyncClient, services: Services) -> None:
    await http.post("/v1/dev/owner-session")
    await services.session_log.flush()
    async with services.engine.connect() as connection:
        found = await connection.exec_driver_sql("SELECT account_id, key_id, role FROM sessions")
        assert [tuple(row) for row in found] == [("acc_dev", None, "owner_spectator")]


@pytest.mark.usefixtures("seated")
@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_move_without_a_challenge(http: httpx.AsyncClient, world: FakeWorld, prefix: str) -> None:
    answer = await http.post(f"{prefix}/v1/dev/agent/move-to", json={"agent_id": "a-1", "x": 3, "y": 4}, headers=DEV)
    body = answer.json()
    assert body["server_cmd_id"].startswith("dev-")
    assert body == {"server_cmd_id": body["server_cmd_id"], "accepted": True, "reason": None, "started_tick": 7}
    (command,) = world.submitted
    assert command.cmd == {"type": "move_to", "x": 3, "y": 4}
    assert command.trace_id == answer.headers["x-trace-id"]


@pytest.mark.usefixtures("seated")
async def test_the_worlds_refusal_is_an_answer_and_no_error(http: httpx.AsyncClient, world: FakeWorld) -> None:
    async def refuse(_: SubmittedCommand) -> ShardAnswer:
        return ShardAnswer(False, "out_of_bounds")

    world.answer = refuse
    answer = await http.post("/v1/dev/agent/move-to", json={"agent_id": "a-1", "x": 99, "y": -4}, headers=DEV)
    assert answer.status_code == 200
    assert (answer.json()["accepted"], answer.json()["reason"]) == (False, "out_of_bounds")


@pytest.mark.usefixtures("seated")
async def test_a_world_that_is_away_is_503(http: httpx.AsyncClient, world: FakeWorld, clock: FakeClock) -> None:
    world.answer = world.unavailable_until(clock, ms_per_call=0)
    body = {"agent_id": "a-1", "x": 3, "y": 4}
    answer = await http.post("/v1/dev/agent/move-to", json=body, headers=DEV)
    refused(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_only_who_stands_in_the_world_can_be_moved(http: httpx.AsyncClient) -> None:
    body = {"agent_id": "nobody", "x": 3, "y": 4}
    refused(await http.post("/v1/dev/agent/move-to", json=body, headers=DEV), 404, "agent_not_found")


async def test_moving_needs_a_session(http: httpx.AsyncClient) -> None:
    refused(await http.post("/v1/dev/agent/move-to", json=ROUTES[3][1]), 401, "invalid_session")


@pytest.mark.parametrize("bad", [{"x": "3"}, {"x": 1.5}, {"x": True}, {"x": None}, {"y": 2**53}, {"agent_id": "a|b"}])
async def test_coordinates_are_whole_numbers(http: httpx.AsyncClient, bad: dict[str, Any]) -> None:
    body = {"agent_id": "a-1", "x": 1, "y": 2} | bad
    refused(await http.post("/v1/dev/agent/move-to", json=body, headers=DEV), 422, "invalid_request")


@pytest.mark.parametrize(("route", "body"), ROUTES)
async def test_in_prod_they_are_dead(in_prod: httpx.AsyncClient, route: str, body: dict[str, Any] | None) -> None:
    """Whoever asks, and whatever they send."""
    for headers in ({}, DEV):
        for sent in (body, {"agent_id": 7}):
            refused(await in_prod.post(route, json=sent, headers=headers), 403, "dev_routes_disabled")


async def test_in_prod_the_fixed_token_is_dead(in_prod: httpx.AsyncClient) -> None:
    for call in (
        in_prod.get("/v1/chunks/chunk-0/snapshot", headers=DEV),
        in_prod.post("/v1/sessions/refresh", headers=DEV),
        in_prod.delete("/v1/sessions", headers=DEV),
    ):
        refused(await call, 401, "invalid_session")


async def test_in_prod_the_development_page_has_no_cors(in_prod: httpx.AsyncClient) -> None:
    answer = await in_prod.get("/healthz", headers={"origin": "http://localhost:5173"})
    assert "access-control-allow-origin" not in answer.headers
