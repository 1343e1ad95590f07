"""Worlds on one server: of two numbers, and of two names under one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from cluster.chunk_dump import agent_ids_of
from operations.fsck_dump import agents_in_world
from streaming import keys
from streaming.commit import COMMIT, AgentEvent, Batch
from streaming.connect import connect
from streaming.gap_detector import Item
from streaming.hub import Hub
from streaming.journal import Journal
from streaming.lua import Script, queue, run
from streaming.namespace import EMPTY, HOLDS_ANYTHING, Namespace, namespace_of
from tests.streaming.writer import ChunkWriter

#: Two worlds by their numbers, by their names, and one with a name beside one without.
NEIGHBOURS = [("/0", "/1"), ("/0?world=blue", "/0?world=red"), ("/0", "/0?world=blue")]


@pytest.fixture
def server(valkey_url: str) -> str:
    return valkey_url.removesuffix("/0")


@pytest.fixture(params=NEIGHBOURS, ids=lambda pair: " and ".join(pair))
async def worlds(request: pytest.FixtureRequest, redis: Redis, server: str) -> AsyncIterator[list[Redis]]:
    """Clients of two worlds on one emptied server."""
    clients = [connect(server + place) for place in request.param]
    yield clients
    for client in clients:
        await client.aclose()


@pytest.fixture
async def hubs(worlds: list[Redis]) -> AsyncIterator[list[Hub]]:
    hubs = [Hub(world) for world in worlds]
    for hub in hubs:
        hub.start()
        await asyncio.wait_for(hub.connected.wait(), 10)
    yield hubs
    for hub in hubs:
        await hub.close()


async def all_keys(world: Redis) -> set[bytes]:
    """Full names of every key in the world's number."""
    return {key async for key in world.scan_iter(count=1000, match="*")}


# -- what crosses and what does not --


async def test_streams_and_their_bells_are_each_worlds_own(worlds: list[Redis], hubs: list[Hub]) -> None:
    """The same chunk in both, at different ticks: each reader sees its own, and nobody reads a stream in vain."""
    seen: list[list[Item]] = [[], []]
    writers = [ChunkWriter(world) for world in worlds]
    for hub, items, writer in zip(hubs, seen, writers, strict=True):
        await writer.create()
        await hub.subscribe(writer.key, items.append).ready()
    for n in range(20):
        await writers[0].tick(1 + n)
        await writers[1].tick(1000 + n)
    async with asyncio.timeout(10):
        while min(map(len, seen)) < 20:
            await asyncio.sleep(0.01)
    for items, first in zip(seen, (1, 1000), strict=True):
        assert [getattr(item, "id", None) for item in items] == [(first + n, 0) for n in range(20)]
    assert [hub.gaps for hub in hubs] == [0, 0]
    assert [hub.messages for hub in hubs] == [20, 20]


async def test_what_is_said_to_gateways_stays_in_its_world(worlds: list[Redis], hubs: list[Hub]) -> None:
    heard: list[list[bytes | None]] = [[], []]
    for hub, said in zip(hubs, heard, strict=True):
        await hub.listen(keys.SESSIONS_CHANNEL, said.append).ready()
        await hub.listen(keys.agent_control("ada"), said.append).ready()
    for world in worlds:
        await world.publish(keys.SESSIONS_CHANNEL, "key key_1")
        await world.publish(keys.agent_control("ada"), "takeover ws-1")
    async with asyncio.timeout(10):
        while any(b"takeover ws-1" not in said for said in heard):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    # None: from here on nothing is missed.
    assert heard == [[None, None, b"key key_1", b"takeover ws-1"]] * 2


async def test_a_commit_is_read_in_its_world_alone(worlds: list[Redis], hubs: list[Hub]) -> None:
    """The journal's script, which makes its keys and channels itself, and knows the sources that it was sent."""
    seen: list[Item] = []
    await hubs[1].subscribe(keys.agent_stream("ada"), seen.append).ready()
    journal, _ = await Journal.acquire(worlds[0], 0)
    batch = Batch(tick=7)
    batch.agent_events("ada", [AgentEvent("agent_private_delta", 1, "t", b"{}")])
    batch.member("chunk-0", "ada", joined=True)
    batch.archive(b"fact")
    await journal.commit(batch)
    assert await worlds[0].smembers(keys.members("chunk-0")) == {b"ada"}
    assert await worlds[0].xlen(keys.ARCHIVE_STREAM) == 1
    assert await worlds[0].hget(keys.shard(0), "tick") == b"7"
    for key in (keys.members("chunk-0"), keys.ARCHIVE_STREAM, keys.shard(0), keys.agent_stream("ada")):
        assert not await worlds[1].exists(key)
    await asyncio.sleep(0.1)
    assert seen == []


async def test_emptying_one_leaves_the_other(worlds: list[Redis]) -> None:
    for world in worlds:
        assert not await run(world, HOLDS_ANYTHING())
        await world.hset(keys.WORLD, "seed", "1")
        await ChunkWriter(world).create()
        assert await run(world, HOLDS_ANYTHING())
    async with worlds[0].pipeline(transaction=True) as pipe:
        queue(pipe, EMPTY())
        pipe.hset(keys.WORLD, "seed", "2")
        await pipe.execute()
    assert await worlds[0].hgetall(keys.WORLD) == {b"seed": b"2"}
    assert not await worlds[0].exists("chunks")
    assert await worlds[1].hget(keys.WORLD, "seed") == b"1"
    assert await worlds[1].exists("chunks")


# -- names --


async def test_a_world_without_a_name_has_its_keys_as_they_were(redis: Redis) -> None:
    await ChunkWriter(redis).create()
    assert await all_keys(redis) == {b"static:chunk-0", b"chunk:chunk-0", b"chunks"}
    assert namespace_of(redis).channels == "0:"


async def test_every_way_to_say_a_key_is_put_into_the_world(server: str, redis: Redis) -> None:
    blue = connect(f"{server}/0?world=blue")
    await blue.xgroup_create("stream:archive", "readers", id="0", mkstream=True)
    await blue.xadd("stream:archive", {"m": "1"}, id="1-0")
    words: list[Any] = ["XREADGROUP", "GROUP", "readers", "me", "COUNT", 9, "STREAMS", "stream:archive", ">"]
    assert (await blue.execute_command(*words))[0][1] == [(b"1-0", {b"m": b"1"})]  # type: ignore[no-untyped-call]
    await blue.mget("one", "two")
    async with blue.pipeline(transaction=True) as pipe:
        await pipe.watch("one", "two")
        pipe.multi()  # type: ignore[no-untyped-call]
        pipe.set("one", 1)
        pipe.set("two", 2)
        await pipe.execute()
    script = "redis.call('DEL', 'one', KEYS[1])\nreturn {redis.call('XINFO', 'STREAM', 'stream:archive')[2], KEYS[1]}"
    assert await blue.eval(script, 1, "two") == [1, b"two"]
    assert await all_keys(redis) == {b"world:blue:stream:archive"}
    await blue.aclose()


async def test_agents_are_found_by_name_in_their_world(worlds: list[Redis]) -> None:
    for world, agent_id in zip(worlds, ("ada", "bob"), strict=True):
        await world.hset(keys.agent(agent_id), "here", 1)
    assert [agent_id async for agent_id in agent_ids_of(worlds[0])] == ["ada"]
    assert await agents_in_world(worlds[1]) == ["bob"]


async def test_a_script_is_loaded_with_the_names_of_its_world(worlds: list[Redis]) -> None:
    script = Script("say", "redis.call('SET', KEYS[1], CHANNELS)\nreturn redis.call('GET', KEYS[1])")
    for world in worlds:
        with pytest.raises(NoScriptError):
            await world.evalsha(script.sha, 1, "k")
        await world.script_load(script.source)
        assert await world.evalsha(script.sha, 1, "k") == namespace_of(world).channels.encode()


async def test_a_command_that_is_not_known_is_refused_where_it_would_leave_its_world(server: str, redis: Redis) -> None:
    blue = connect(f"{server}/0?world=blue")
    for call in (lambda: blue.rename("a", "b"), lambda: blue.flushdb()):
        with pytest.raises(ValueError, match="does not know where"):
            await call()  # type: ignore[no-untyped-call]
    with pytest.raises(Exception, match="does not know where RENAME"):
        await blue.eval("return redis.call('RENAME', 'a', 'b')", 0)
    assert await redis.ping()
    await blue.aclose()


def sources() -> Iterator[Path]:
    for room in ("api", "cluster", "operations", "streaming"):
        yield from Path(room).rglob("*.lua")
        yield from Path(room).rglob("*.py")


def test_every_command_of_our_scripts_is_known() -> None:
    """A world with a name refuses any other, so it would show there first."""
    import re

    known = Namespace(0, "blue")
    for path in sources():
        for command in re.findall(r"redis\.call\('([A-Z]+)'", path.read_text()):
            if command not in ("PUBLISH",):
                known.words((command, "a", "b", "c"))


def test_scripts_are_written_for_a_world() -> None:
    """What publishes says so with ``CHANNELS``."""
    for path in sources():
        text = path.read_text()
        assert text.count("redis.call('PUBLISH'") == text.count("redis.call('PUBLISH', CHANNELS .. "), path
    assert "CHANNELS" in COMMIT.source
