"""An operator's token, of either role, reads what a spectator's session reads, and nothing else of the agents' API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.accounts.tokens import new_operator_token
from api.app import create_app
from api.operator.callers import Callers
from api.services import Services
from cluster.operating import ClusterOperating
from config.settings import Settings
from store import operators
from streaming.shared_clock import utc_now
from tests.api.gates import Gate, close_code, running
from tests.api.operator.conftest import Headers, NewOperator
from tests.api.operator.test_revoked_stream import to_the_end, token_of
from tests.api.people import bearer, refused
from tests.api.support import FakeWorld
from tests.streaming.writer import ChunkWriter

#: What a spectator may read; the streams are read below.
READ = (
    "/v1/chunks",
    "/v1/chunks/chunk-0/snapshot",
    "/v1/chunks/chunk-0/digests",
    "/v1/chunks/chunk-0/recent",
    "/v1/chunks/chunk-0/history?from=0",
    "/v1/chunks/chunk-0/timeline",
    "/v1/leaderboard",
    "/v1/find/agents?prefix=a",
    "/v1/agents/nobody/profile",
)
TEMPLATES = {
    *("/v1/chunks", "/v1/chunks/{chunk_id}/snapshot", "/v1/chunks/{chunk_id}/digests"),
    *("/v1/chunks/{chunk_id}/recent", "/v1/chunks/{chunk_id}/history", "/v1/chunks/{chunk_id}/timeline"),
    *("/v1/leaderboard", "/v1/find/agents"),
    *("/v1/agents/{agent_id}/profile", "/v1/spectate/stream"),
}
STREAM = "/v1/spectate/stream?chunk_id=chunk-0"
SOCKET = "/v1/spectate/ws?chunk_id=chunk-0"


@pytest.fixture
async def chunk(redis: Redis) -> ChunkWriter:
    chunk = ChunkWriter(redis)
    await chunk.create()
    await chunk.tick()
    return chunk


async def test_both_roles_read_what_a_spectator_reads(
    http: httpx.AsyncClient, chunk: ChunkWriter, viewer: Headers, operator: Headers
) -> None:
    for headers in (viewer, operator):
        for path in READ:
            answer = await http.get(path, headers=headers)
            expected = (404, "agent_not_found") if "nobody" in path else (200, None)
            assert (answer.status_code, answer.json().get("detail")) == expected, path


async def test_no_dead_token_watches(
    http: httpx.AsyncClient, services: Services, new_operator: NewOperator, chunk: ChunkWriter
) -> None:
    _, alive = await new_operator("alive", "viewer")
    revoked_id, revoked = await new_operator("gone", "viewer")
    await operators.revoke(services.engine, revoked_id)
    _, expired = await new_operator("late", "viewer", utc_now() - timedelta(seconds=1))
    wrong = bearer(alive["authorization"].removeprefix("Bearer ")[:-2] + "AA")
    for headers in (revoked, expired, wrong, bearer(new_operator_token().plain), bearer("test-operator-token")):
        for path in (*READ, STREAM):
            refused(await http.get(path, headers=headers), 401, "invalid_session")


async def test_nobody_is_an_operator_where_there_is_none(http: httpx.AsyncClient, chunk: ChunkWriter) -> None:
    refused(await http.get(READ[0], headers=bearer(new_operator_token().plain)), 401, "invalid_session")


async def test_nothing_else_of_the_agents_api_takes_it(
    http: httpx.AsyncClient, services: Services, operator: Headers
) -> None:
    paths: dict[str, Any] = create_app(services).openapi()["paths"]
    asked = 0
    for path, found in paths.items():
        for method, described in found.items():
            other = described.get("security") != [{"session": []}] or path.startswith("/v1/dev/")
            if other or (method == "get" and path in TEMPLATES):
                continue
            url = path.format_map({"agent_id": "a-1", "chunk_id": "chunk-0", "key_id": "key_1", "thought_id": "1"})
            body: dict[str, Any] | None = None if method in ("get", "delete") else {}
            answer = await http.request(method.upper(), f"{url}?agent_id=a-1", headers=operator, json=body)
            refused(answer, 401, "invalid_session")
            asked += 1
    assert asked > 2
    assert paths.keys() >= TEMPLATES


@asynccontextmanager
async def gateway(
    settings: Settings, world: FakeWorld, bad_ones: str
) -> AsyncIterator[tuple[Services, httpx.AsyncClient]]:
    """A gateway that takes so many failed logins, and so many bad operators' tokens, from an address."""
    services = Services.build(settings.model_copy(update={"limit_address_logins": bad_ones}), world)
    services.start()
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield services, http
    await services.close()


async def test_guesses_cost_the_database_no_more_than_the_limit(
    settings: Settings, world: FakeWorld, operator: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens of good shape that nobody has; who works here is not kept out by them."""
    looked_up = 0
    find = operators.find

    async def counting(*args: Any) -> Any:
        nonlocal looked_up
        looked_up += 1
        return await find(*args)

    async with gateway(settings, world, "5+1/h") as (_, http):
        assert (await http.get("/v1/operator/me", headers=operator)).status_code == 200
        monkeypatch.setattr(operators, "find", counting)
        seen = set()
        for _ in range(20):
            answer = await http.get("/v1/operator/me", headers=bearer(new_operator_token().plain))
            seen.add((answer.status_code, answer.json()["detail"]))
        assert seen == {(401, "invalid_token"), (429, "rate_limited")}
        assert looked_up in (5, 6), "one comes back in an hour"
        refused(await http.get(READ[0], headers=bearer(new_operator_token().plain)), 429, "rate_limited")
        assert (await http.get("/v1/operator/me", headers=operator)).status_code == 200


async def test_a_good_token_is_not_counted_as_a_bad_one(
    settings: Settings, world: FakeWorld, operator: Headers
) -> None:
    """A gateway that has not met it looks it up."""
    async with gateway(settings, world, "1+1/h") as (services, http):
        for _ in range(3):
            services.operators = Callers(services.engine, services.limits, services.local_only, dev=False)
            assert (await http.get("/v1/operator/me", headers=operator)).status_code == 200


async def test_failed_logins_keep_no_operator_out(settings: Settings, world: FakeWorld, operator: Headers) -> None:
    """Of the same address, by a gateway that has not met the token."""
    async with gateway(settings, world, "2+1/h") as (_, http):
        failed = [await http.get("/v1/keys", headers=bearer("dca_nothing")) for _ in range(4)]
        assert failed[-1].status_code == 429
        assert (await http.get("/v1/operator/me", headers=operator)).status_code == 200


async def test_a_revocation_amid_guesses_keeps_nobody_else_out(
    settings: Settings, world: FakeWorld, operator: Headers, new_operator: NewOperator
) -> None:
    """It is at once looked up again whether a token is good; to be known here does not end."""
    gone_id, gone = await new_operator("gone", "viewer")
    async with gateway(settings, world, "2+1/h") as (_, http):
        for headers in (operator, gone):
            assert (await http.get("/v1/operator/me", headers=headers)).status_code == 200
        guesses = [await http.get("/v1/operator/me", headers=bearer(new_operator_token().plain)) for _ in range(4)]
        assert guesses[-1].status_code == 429
        answer = await http.post(f"/v1/operator/operators/{gone_id}/revoke", headers=operator)
        assert answer.status_code == 200
        assert (await http.get("/v1/operator/me", headers=operator)).status_code == 200
        assert (await http.get("/v1/operator/me", headers=gone)).status_code in (401, 429)


# -- streams --


@pytest.fixture
async def gate(settings: Settings, redis: Redis) -> AsyncIterator[Gate]:
    settings = settings.model_copy(update={"revoke_within_s": 2.0})
    async with running(settings, FakeWorld(redis=redis), ClusterOperating(redis, settings)) as gate:
        yield gate


async def test_streams_are_watched_until_the_token_is_revoked(gate: Gate, chunk: ChunkWriter) -> None:
    bob, vera = await token_of(gate, "bob"), await token_of(gate, "vera")
    async with gate.sse(STREAM, bob) as first, gate.ws(SOCKET, bob) as second, gate.sse(STREAM, vera) as other:
        for stream in (first, other):
            assert [event.kind for event in await stream.take(3)] == ["session_ready", "chunk_static", "chunk_delta"]
        await operators.revoke(gate.services.engine, "bob")
        await to_the_end(first)
        assert await close_code(second) == (1008, "invalid_session")
        await chunk.tick()
        assert (await other.take(1))[0].kind == "chunk_delta"
