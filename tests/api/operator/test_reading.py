"""What operators read: rows of the documented shape, sorted, filtered and paged."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from pydantic import BaseModel
from redis.asyncio import Redis

from api.operator import models
from api.services import Services
from cluster import move_log
from cluster.balance.moves import MoveRecord
from streaming import keys
from streaming.frozen import freeze
from tests.api.operator.conftest import Headers
from tests.api.operator.status import NODE_ID, make_up
from tests.api.people import refused

PREFIX = "/v1/operator"


async def get(http: httpx.AsyncClient, path: str, headers: Headers, **query: Any) -> dict[str, Any]:
    answer = await http.get(PREFIX + path, headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_rows_have_the_documented_shape(
    http: httpx.AsyncClient, services: Services, redis: Redis, operator: Headers
) -> None:
    await make_up(redis, agents=3)
    move = MoveRecord(1, "chunk-1", 1, 0, "load", "too busy", "moved", 2.5)
    await move_log.end(redis, move)
    await redis.lpush(keys.HOUR, orjson.dumps(POINT))
    assert (await http.post(f"{PREFIX}/agents/a-0/mute", json={}, headers=operator)).status_code == 200
    assert (await http.post(f"{PREFIX}/agents/a-0/ban", json={}, headers=operator)).status_code == 200
    shapes: dict[str, type[BaseModel]] = {
        "/me": models.Me,
        "/overview": models.Overview,
        "/nodes": models.Nodes,
        "/actors": models.Actors,
        "/shards": models.Shards,
        "/chunks": models.Chunks,
        "/chunks/chunk-1": models.ChunkInfo,
        "/map": models.MapColumns,
        "/agents": models.Agents,
        "/agents/a-0": models.AgentDetails,
        "/moderation": models.Standings,
        "/bans": models.Bans,
        "/moves": models.Moves,
        "/backups": models.Backups,
        "/jobs": models.Jobs,
        "/audit": models.Audit,
        "/operators": models.Operators,
    }
    for path, shape in shapes.items():
        found = await get(http, path, operator)
        assert shape.model_validate(found).model_dump() == found, path
        assert found.get("rows") != [] or path in ("/backups", "/jobs"), path


POINT = {
    "at_ms": 1,
    "agents": 7,
    "connections": 3,
    "commands_per_s": 1.5,
    "refused_per_s": 0.5,
    "tick_p50_ms": 1.0,
    "tick_p99_ms": 3.0,
    "commit_p50_ms": 1.0,
    "commit_p99_ms": 3.0,
    "refusals": {"busy": 0.5},
}


async def test_the_overview_says_what_is_wrong(http: httpx.AsyncClient, redis: Redis, viewer: Headers) -> None:
    await make_up(redis)
    found = await get(http, "/overview", viewer)
    assert found["health"] == {"ok": True, "problems": []}
    assert found["figures"]["agents"] == 14
    silent = {"shard-0": {"error": "no answer"}, "gateway-0": {"error": "no answer"}}
    await make_up(redis, actors=silent)
    found = await get(http, "/overview", viewer)
    assert found["health"]["problems"] == [
        "gateway-0 gives no answer",
        "shard-0 gives no answer",
        "no gateway takes connections",
    ]
    await redis.delete(keys.STATUS)
    refused(await http.get(f"{PREFIX}/overview", headers=viewer), 503, "unavailable")


async def test_chunks_are_sorted_filtered_and_paged(http: httpx.AsyncClient, redis: Redis, viewer: Headers) -> None:
    await make_up(redis, chunks=25, agents=30)
    await freeze(redis, "chunk-7", "alice", 1)
    names, cursor, pages = [], None, 0
    while True:
        query = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        found = await get(http, "/chunks", viewer, **query)
        names += [row["chunk_id"] for row in found["rows"]]
        pages, cursor = pages + 1, found["next"]
        if cursor is None:
            break
    assert names == [f"chunk-{number}" for number in range(25)]
    assert (pages, found["total"]) == (3, 25)
    busiest = await get(http, "/chunks", viewer, sort="cost", order="desc", limit=1)
    [row] = busiest["rows"]
    assert row == {
        "chunk_id": "chunk-1",
        "shard": 1,
        "agents": 2,
        "cost_us": 900,
        "commands_per_s": 2.5,
        "watchers": 2,
        "pinned": False,
        "frozen": False,
        "moving": False,
    }
    frozen = await get(http, "/chunks", viewer, frozen=True)
    assert [row["chunk_id"] for row in frozen["rows"]] == ["chunk-7"]
    of_shard = await get(http, "/chunks", viewer, shard=0, min_agents=2, q="-2")
    assert [row["chunk_id"] for row in of_shard["rows"]] == ["chunk-2"]


async def test_agents_are_sorted_filtered_and_paged(http: httpx.AsyncClient, redis: Redis, viewer: Headers) -> None:
    await make_up(redis, chunks=3, agents=12)
    await redis.zadd(keys.PRESENCE, {"away": 4_000_000_000_000})  # holds a seat, and stands nowhere
    first = await get(http, "/agents", viewer, limit=7)
    second = await get(http, "/agents", viewer, limit=7, cursor=first["next"])
    found = [row["agent_id"] for row in first["rows"] + second["rows"]]
    assert found == sorted(f"a-{number}" for number in range(12))
    assert (first["total"], second["next"]) == (12, None)
    some = await get(http, "/agents", viewer, chunk="chunk-1", order="desc", q="a-1")
    assert [row["agent_id"] for row in some["rows"]] == ["a-10", "a-1"]


async def test_an_agent_is_shown_whole(
    http: httpx.AsyncClient, services: Services, redis: Redis, viewer: Headers
) -> None:
    await make_up(redis, agents=1)
    found = await get(http, "/agents/a-0", viewer)
    assert (found["chunk_id"], found["x"], found["y"], found["inventory"]) == ("chunk-0", 3, 4, {"gold": 5})
    assert found["here"] is True
    refused(await http.get(f"{PREFIX}/agents/nobody", headers=viewer), 404, "agent_not_found")


@pytest.mark.parametrize("cursor", ["x", "o", "o-1", "o1x", "oo1", "a1"])
async def test_a_cursor_of_somebody_elses_is_refused(
    http: httpx.AsyncClient, redis: Redis, viewer: Headers, cursor: str
) -> None:
    await make_up(redis)
    refused(await http.get(f"{PREFIX}/chunks", headers=viewer, params={"cursor": cursor}), 400, "bad_request")


async def test_nodes_name_what_is_on_them(http: httpx.AsyncClient, redis: Redis, viewer: Headers) -> None:
    await make_up(redis)
    await redis.hset(keys.DRAINED, NODE_ID, orjson.dumps({"v": 1, "by": "scale", "at_ms": 1}))
    [row] = (await get(http, "/nodes", viewer))["rows"]
    assert (row["node"], row["by"], row["actors"]) == ("3f2a9c1b", "scale", ["gateway-0", "shard-0", "shard-1"])


async def test_the_audit_log_is_filtered_and_paged(
    http: httpx.AsyncClient, services: Services, redis: Redis, operator: Headers
) -> None:
    await make_up(redis, agents=2)
    for agent in ("a-0", "a-1", "a-0"):
        await http.post(f"{PREFIX}/agents/{agent}/mute", json={}, headers=operator)
    first = await get(http, "/audit", operator, limit=2)
    second = await get(http, "/audit", operator, limit=2, cursor=first["next"])
    rows = first["rows"] + second["rows"]
    assert [row["subject"] for row in rows] == ["a-0", "a-1", "a-0"]
    assert second["next"] is None
    mine = await get(http, "/audit", operator, subject="a-1", action="mute", operator="alice", outcome="done")
    assert [row["subject"] for row in mine["rows"]] == ["a-1"]
    none = await get(http, "/audit", operator, subject="a\x001")
    assert none["rows"] == []
