"""The graph's scripts on a real Valkey: one neighbour a side, whole links, collection that gives way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from cluster import graph
from cluster.graph import CLAIM, ChunkCollected
from streaming import keys
from streaming.journal import Journal
from streaming.lua import run
from world.ids import ChunkId, shard_of


@pytest.fixture
async def world(redis: Redis) -> Any:
    await graph.init_world(redis, seed=7, shard_count=2)
    return redis


async def owner(redis: Redis, chunk_id: str) -> int:
    return int(await redis.hget(keys.chunk(chunk_id), "shard") or -1)


async def collect(redis: Redis, chunk_id: str) -> list[str]:
    shard = await owner(redis, chunk_id)
    journal, _ = await Journal.acquire(redis, shard)
    return await graph.collect(redis, chunk_id, shard=shard, epoch=journal.epoch, tick=9, trace_id="t")


async def test_the_world_is_made_once(world: Any) -> None:
    again = await graph.init_world(world, seed=8, shard_count=5)
    assert (again.info.seed, again.info.shard_count) == (7, 2)
    assert await owner(world, "chunk-0") == shard_of("chunk-0", 2)


async def test_fifty_that_arrive_together_make_one_chunk_a_side(world: Any) -> None:
    asked = [graph.ensure_neighbor(world, "chunk-0", "E" if n % 2 else "N") for n in range(50)]
    made = await asyncio.gather(*asked)
    assert len(set(made)) == 2
    links = await graph.read_links(world)
    assert set(links) == {"chunk-0", *made}
    assert links[ChunkId("chunk-0")] == {"N": made[0], "E": made[1]}
    assert links[made[0]] == {"S": "chunk-0"}
    assert links[made[1]] == {"W": "chunk-0"}
    assert [key async for key in world.scan_iter("lock:*")] == []


async def test_a_neighbor_of_a_chunk_that_is_gone_is_refused(world: Any) -> None:
    with pytest.raises(ChunkCollected):
        await graph.ensure_neighbor(world, "chunk-99", "E")


async def test_a_lock_of_somebody_who_died_holds_nobody_for_ever(world: Any) -> None:
    await world.set(keys.neighbor_lock("chunk-0", "E"), "dead", px=200)
    assert await asyncio.wait_for(graph.ensure_neighbor(world, "chunk-0", "E"), 5) == "chunk-1"


async def test_collection_unlinks_and_says_closed_and_the_next_one_gets_a_new_number(world: Any) -> None:
    made = await graph.ensure_neighbor(world, "chunk-0", "E")
    assert await collect(world, made) == ["collected", "chunk-0", "E"]
    assert await graph.read_links(world) == {"chunk-0": {}}
    [(_, fields)] = await world.xrange(keys.chunk_stream(made))
    assert fields[b"m"].split(b" ")[1] == b"chunk_closed"
    assert 0 < await world.ttl(keys.chunk_stream(made)) <= 300
    assert await graph.ensure_neighbor(world, "chunk-0", "E") not in (made, "chunk-0")


async def test_collection_gives_way_to_whoever_holds_or_enters_the_chunk(world: Any) -> None:
    made = await graph.ensure_neighbor(world, "chunk-0", "E")
    assert await collect(world, "chunk-0") == ["pinned"]
    await world.sadd(keys.members(made), "a")
    assert await collect(world, made) == ["held"]
    await world.delete(keys.members(made))
    await world.hset(keys.reservations(made), "0,24", "h 1")
    assert await collect(world, made) == ["entering"]
    await world.delete(keys.reservations(made))
    await world.hset(keys.inbox(made), "h", "{}")
    assert await collect(world, made) == ["entering"]
    await world.delete(keys.inbox(made))
    further = await graph.ensure_neighbor(world, made, "E")
    assert await collect(world, made) == ["linked"]
    assert (await collect(world, further))[0] == "collected"
    assert (await collect(world, made))[0] == "collected"


async def test_only_the_owner_with_the_lease_collects(world: Any) -> None:
    made = await graph.ensure_neighbor(world, "chunk-0", "E")
    shard = await owner(world, made)
    old, _ = await Journal.acquire(world, shard)
    await Journal.acquire(world, shard)
    refused = await graph.collect(world, made, shard=shard, epoch=old.epoch, tick=9, trace_id="t")
    assert refused == ["fenced"]


async def test_of_two_claims_for_an_agent_one_wins(world: Any) -> None:
    made = await graph.ensure_neighbor(world, "chunk-0", "E")
    claims = [
        run(world, CLAIM(agent=keys.agent("a"), before="", chunk=chunk_id, id="a", presence_ms=60_000))
        for chunk_id in ("chunk-0", made)
    ]
    answers = sorted((await asyncio.gather(*claims)), key=lambda answer: answer[0])
    assert [answer[0] for answer in answers] == [b"moved", b"ok"]
    assert await world.zscore(keys.PRESENCE, "a") is not None


async def test_a_claim_on_a_chunk_that_is_gone_is_refused(world: Any) -> None:
    claim = CLAIM(agent=keys.agent("a"), before="", chunk="chunk-9", id="a", presence_ms=60_000)
    assert await run(world, claim) == [b"gone"]
    assert not await world.exists(keys.agent("a"))
