"""``GET /v1/chunks/{chunk_id}/recent``: what the window has; who may ask; how often; that it is kept for a moment."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from config.settings import Settings
from streaming import keys
from tests.api.people import bearer, playing, refused

DEV = bearer("test-spectator-token")


@pytest.fixture
def settings(fresh_postgres_url: str, valkey_url: str) -> Settings:
    return Settings(environment="test", database_url=fresh_postgres_url, redis_url=valkey_url, limit_watching="10+1/h")


async def put(redis: Any, tick: int, x: int, events: list[dict[str, Any]]) -> None:
    agents = [{"id": "a-1", "x": x, "y": 4, "activity_state": "moving"}]
    delta = {"chunk_id": "chunk-0", "tick": tick, "agents": agents, "npcs": [], "resources": [], "events": events}
    message = b"0-0 chunk_delta 1800000000000 t-1\n" + json.dumps(delta).encode()
    await redis.set(keys.chunk_static("chunk-0"), json.dumps({"chunk_id": "chunk-0", "tiles": ["#"]}))
    await redis.xadd(keys.chunk_stream("chunk-0"), {"m": message}, f"{tick}-0")


@pytest.mark.parametrize("chunk_id", ["chunk-0", "demo"])
async def test_what_the_window_has(http: httpx.AsyncClient, redis: Redis, chunk_id: str) -> None:
    chat = {"type": "chat", "from": "a-1", "text": "hi"}
    await put(redis, 9, 3, [chat])
    await put(redis, 10, 4, [])
    answer = await http.get(f"/v1/chunks/{chunk_id}/recent", headers=DEV)
    assert answer.json() == {
        "chunk_id": "chunk-0",
        "from_tick": 9,
        "to_tick": 10,
        "events": [{"tick": 9, "index": 0, "at": 1800000000000, "event": chat}],
        "trails": {"a-1": [[9, 3, 4], [10, 4, 4]]},
    }
    await put(redis, 11, 5, [])
    assert (await http.get(f"/v1/chunks/{chunk_id}/recent", headers=DEV)).content == answer.content


@pytest.mark.parametrize("chunk_id", ["chunk-1", "a%20b", "%00", "chunk-0%0A"])
async def test_there_is_no_such_chunk(http: httpx.AsyncClient, chunk_id: str) -> None:
    refused(await http.get(f"/v1/chunks/{chunk_id}/recent", headers=DEV), 404, "chunk_not_found")


async def test_any_role_may_ask_but_not_for_ever(http: httpx.AsyncClient, redis: Redis) -> None:
    await put(redis, 9, 3, [])
    path = "/v1/chunks/chunk-0/recent"
    refused(await http.get(path), 401, "invalid_session")
    agent = await playing(http)
    answers = [await http.get(path, headers=bearer(agent["session_token"])) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    # Another account has its own limit, and so has an address without a key.
    assert (await http.get(path, headers=DEV)).status_code == 200
