from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from api.chunks import LIST_TTL_S, LISTED_MAX, ListedChunks
from streaming import keys
from streaming.batch import RedisBatch
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


# -- digests --


async def test_the_digests_of_a_chunk(http: httpx.AsyncClient, redis: Redis) -> None:
    """Also of one that is gone; a chunk of which nothing is recorded has none."""
    told: dict[Any, Any] = {"digest": "d", "chain": "c", "entry": "1 2 c"}
    for tick in (50, 100):
        await redis.xadd(keys.chunk_digests("chunk-0"), told, f"{tick}-1")
    await put_chunk(redis, "chunk-1", 0)
    for chunk_id in ("chunk-0", "demo"):
        answer = await http.get(f"/v1/chunks/{chunk_id}/digests", headers=DEV)
        assert answer.status_code == 200
        assert answer.json() == {
            "chunk_id": "chunk-0",
            "digests": [{"tick": 50, **told}, {"tick": 100, **told}],
        }
    empty = await http.get("/v1/chunks/chunk-1/digests", headers=DEV)
    assert empty.json() == {"chunk_id": "chunk-1", "digests": []}
    refused(await http.get("/v1/chunks/chunk-2/digests", headers=DEV), 404, "chunk_not_found")
    refused(await http.get("/v1/chunks/%00/digests", headers=DEV), 404, "chunk_not_found")
    refused(await http.get("/v1/chunks/chunk-0/digests"), 401, "invalid_session")


# -- the list --


async def put_chunk(redis: Any, chunk_id: str, agents: int, **neighbors: str) -> None:
    await redis.sadd(keys.CHUNKS, chunk_id)
    await redis.hset(keys.POPULATION, chunk_id, agents)
    await redis.hset(keys.chunk(chunk_id), mapping={"number": chunk_id.rpartition("-")[2], "shard": 0, **neighbors})


async def test_the_list_has_every_chunk_with_its_agents_and_neighbours(http: httpx.AsyncClient, redis: Redis) -> None:
    await put_chunk(redis, "chunk-0", 1, N="chunk-10")
    await put_chunk(redis, "chunk-10", 0, S="chunk-0", E="chunk-2")
    await put_chunk(redis, "chunk-2", 0, W="chunk-10")
    await put_chunk(redis, "chunk-3", 4)
    answer = await http.get("/v1/chunks", headers=DEV)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    nobody = {"N": None, "E": None, "S": None, "W": None}
    assert answer.json() == {
        "chunks": [
            {"chunk_id": "chunk-3", "agents": 4, "neighbors": nobody},
            {"chunk_id": "chunk-0", "agents": 1, "neighbors": nobody | {"N": "chunk-10"}},
            {"chunk_id": "chunk-2", "agents": 0, "neighbors": nobody | {"W": "chunk-10"}},
            {"chunk_id": "chunk-10", "agents": 0, "neighbors": nobody | {"S": "chunk-0", "E": "chunk-2"}},
        ],
        "total": 4,
    }


async def test_a_world_without_chunks_has_an_empty_list(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/chunks", headers=DEV)).json() == {"chunks": [], "total": 0}


async def test_any_role_may_see_the_list_and_nobody_without_one(http: httpx.AsyncClient) -> None:
    agent = await playing(http)
    answer = await http.get("/api/v1/chunks", headers=bearer(agent["session_token"]))
    assert answer.status_code == 200
    refused(await http.get("/v1/chunks"), 401, "invalid_session")


async def test_the_list_is_bounded_and_keeps_the_fullest(batch: RedisBatch, redis: Redis) -> None:
    for number in range(LISTED_MAX + 3):
        await put_chunk(redis, f"chunk-{number}", int(number >= LISTED_MAX))
    listed = json.loads(await ListedChunks(batch).json())
    assert len(listed["chunks"]) == LISTED_MAX
    assert listed["total"] == LISTED_MAX + 3
    names = [entry["chunk_id"] for entry in listed["chunks"]]
    assert names[:4] == [f"chunk-{LISTED_MAX}", f"chunk-{LISTED_MAX + 1}", f"chunk-{LISTED_MAX + 2}", "chunk-0"]
    assert names[-1] == f"chunk-{LISTED_MAX - 4}"


async def test_a_list_is_kept_for_a_second_and_read_once_for_all(batch: RedisBatch, redis: Redis) -> None:
    now = [100.0]
    listed = ListedChunks(batch, lambda: now[0])
    await put_chunk(redis, "chunk-0", 1)
    before = await listed.json()
    await put_chunk(redis, "chunk-0", 2)
    assert await listed.json() == before
    now[0] += LIST_TTL_S
    calls = await redis.info("commandstats")
    after = await asyncio.gather(*(listed.json() for _ in range(20)))
    read = (await redis.info("commandstats"))["cmdstat_smembers"]["calls"] - calls["cmdstat_smembers"]["calls"]
    assert read == 1
    assert {json.loads(one)["chunks"][0]["agents"] for one in after} == {2}


async def test_a_failed_read_is_not_kept(batch: RedisBatch, redis: Redis) -> None:
    listed = ListedChunks(batch)
    await redis.set(keys.CHUNKS, "not a set")
    with pytest.raises(ResponseError):
        await listed.json()
    await redis.delete(keys.CHUNKS)
    assert json.loads(await listed.json())["total"] == 0


async def test_a_chunk_that_is_removed_meanwhile_is_left_out(batch: RedisBatch, redis: Redis) -> None:
    await put_chunk(redis, "chunk-0", 0)
    await redis.sadd(keys.CHUNKS, "chunk-1")
    names = [entry["chunk_id"] for entry in json.loads(await ListedChunks(batch).json())["chunks"]]
    assert names == ["chunk-0"]
