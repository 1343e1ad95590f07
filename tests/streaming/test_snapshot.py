"""A chunk's present state: of one moment, read once for many, and none for a chunk that is gone."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from redis.asyncio import Redis

from streaming import keys
from streaming import snapshot as snapshot_module
from streaming.snapshot import Snapshots, read_snapshot, snapshots_of
from tests.streaming.writer import ChunkWriter, delta_payload

DEADLINE_S = 20.0


async def chunk_with(redis: Redis, ticks: int, chunk_id: str = "chunk-0") -> ChunkWriter:
    chunk = ChunkWriter(redis, chunk_id)
    await chunk.create()
    for _ in range(ticks):
        await chunk.tick()
    return chunk


async def test_a_snapshot_is_of_one_moment_and_read_once_for_many(redis: Redis) -> None:
    chunk = await chunk_with(redis, 3)
    snapshots = Snapshots(redis)
    before = (await redis.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0)
    many = await asyncio.gather(*(snapshots.get("chunk-0", (3, 0)) for _ in range(100)))
    after = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert after - before <= 1
    assert len({id(snapshot) for snapshot in many}) == 1
    await chunk.tick()
    again = await snapshots.get("chunk-0", (4, 0))
    assert again is not None
    assert again.at == (4, 0)
    unchanged = await snapshots.get("chunk-0")
    assert unchanged is again
    await redis.set("static:chunk-0", b'{"chunk_id":"chunk-0","neighbors":{"N":"chunk-1"}}')
    changed = await snapshots.get("chunk-0")
    assert changed is not None
    assert b"chunk-1" in changed.json()
    assert await snapshots.get("chunk-9") is None
    assert delta_payload("chunk-0", 4) == changed.latest.fields() if changed.latest else False


async def test_who_asks_when_a_read_has_just_ended_gets_one_of_his_own(redis: Redis) -> None:
    await chunk_with(redis, 3)
    snapshots = Snapshots(redis)

    async def ask_again_and_again() -> None:
        for _ in range(50):
            assert (await snapshots.get("chunk-0")) is not None

    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(ask_again_and_again() for _ in range(20)))


async def test_the_form_that_http_answers(redis: Redis) -> None:
    await chunk_with(redis, 2)
    snapshot = await read_snapshot(redis, "chunk-0")
    assert snapshot is not None
    said = orjson.loads(snapshot.json())
    assert said["chunk_static"]["chunk_id"] == "chunk-0"
    assert said["latest_delta"] == delta_payload("chunk-0", 2)
    assert snapshot.static.trace_id == (snapshot.latest.trace_id if snapshot.latest else None)


async def test_a_chunk_without_a_delta_is_no_place_to_read_on_from(redis: Redis) -> None:
    await chunk_with(redis, 0)
    snapshot = await read_snapshot(redis, "chunk-0")
    assert snapshot is not None
    assert snapshot.at is None
    assert orjson.loads(snapshot.json())["latest_delta"] is None


async def test_a_chunk_that_closes_is_gone_at_once(redis: Redis) -> None:
    chunk = await chunk_with(redis, 3)
    assert await read_snapshot(redis, "chunk-0") is not None
    await chunk.add((4, 0), "chunk_closed", {"chunk_id": "chunk-0", "tick": 4})
    assert await read_snapshot(redis, "chunk-0") is None
    await redis.delete(keys.chunk_static("chunk-0"), chunk.key)
    assert await read_snapshot(redis, "chunk-0") is None


async def test_a_stream_with_something_else_at_its_end_shows_nothing(redis: Redis) -> None:
    chunk = await chunk_with(redis, 3)
    await redis.xadd(chunk.key, {"m": b"rubbish"}, id="4-0")
    assert await read_snapshot(redis, "chunk-0") is None


async def test_only_so_many_are_kept_and_those_let_go_are_read_anew(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "CACHED_CHUNKS", 2)
    snapshots = Snapshots(redis)
    for n in range(4):
        await chunk_with(redis, 1, f"chunk-{n}")
        assert await snapshots.get(f"chunk-{n}") is not None
    assert len(snapshots._cached) == 2
    first = await snapshots.get("chunk-0", (1, 0))
    assert first is not None
    assert first.chunk_id == "chunk-0"


async def test_one_reader_that_goes_away_does_not_end_the_others_read(redis: Redis) -> None:
    await chunk_with(redis, 3)
    snapshots = Snapshots(redis)
    leaving, staying = (asyncio.create_task(snapshots.get("chunk-0")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    found = await staying
    assert found is not None
    assert found.at == (3, 0)


def test_a_client_has_one(redis: Redis) -> None:
    assert snapshots_of(redis) is snapshots_of(redis)
