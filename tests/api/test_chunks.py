from __future__ import annotations

import json

import httpx
import pytest
from redis.asyncio import Redis

from streaming import keys
from tests.api.people import bearer, playing, refused

DEV = bearer("test-spectator-token")
STATIC = {"chunk_id": "chunk-0", "tiles": ["#"]}
DELTA = {"chunk_id": "chunk-0", "tick": 9, "agents": []}


@pytest.fixture
async def chunk(redis: Redis) -> None:
    await redis.set(keys.chunk_static("chunk-0"), json.dumps(STATIC))
    message = b"0-0 chunk_delta 1800000000000 t-1\n" + json.dumps(DELTA).encode()
    await redis.xadd(keys.chunk_stream("chunk-0"), {"m": message}, "9-0")


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("chunk_id", ["chunk-0", "demo"])
@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_present_state_for_a_resync(http: httpx.AsyncClient, chunk_id: str, prefix: str) -> None:
    answer = await http.get(f"{prefix}/v1/chunks/{chunk_id}/snapshot", headers=DEV)
    assert answer.status_code == 200
    assert answer.json() == {"chunk_static": STATIC, "latest_delta": DELTA}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("chunk")
async def test_any_role_may_ask_and_nobody_without_one(http: httpx.AsyncClient) -> None:
    agent = await playing(http)
    answer = await http.get("/v1/chunks/chunk-0/snapshot", headers=bearer(agent["session_token"]))
    assert answer.status_code == 200
    refused(await http.get("/v1/chunks/chunk-0/snapshot"), 401, "invalid_session")


@pytest.mark.parametrize("chunk_id", ["chunk-1", "a%20b", "%00", "chunk-0%0A", "%EF%BC%91", "x" * 64, "..%2f.."])
async def test_there_is_no_such_chunk(http: httpx.AsyncClient, chunk_id: str) -> None:
    answer = await http.get(f"/v1/chunks/{chunk_id}/snapshot", headers=DEV)
    assert answer.status_code == 404
    assert answer.json()["detail"] in ("chunk_not_found", "not_found")
