"""Shards in one process on a real Valkey: commands, ticks, crossings, crashes."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.local import LocalWorld
from cluster.peers import ShardUnavailable
from cluster.shard.config import ShardConfig
from streaming import keys
from streaming.journal import Journal
from tests.cluster.shard.stage import command
from tests.cluster.worlds import Player, newest_delta, player, settled, until
from world.recording import ReplayVerdict, verify
from world.rules import Rules


def verify_only_file(directory: Path) -> ReplayVerdict:
    """Run the one recording of a directory again."""
    [path] = directory.iterdir()
    with path.open() as lines:
        return verify(lines)


FAST = ShardConfig(tick_hz=50.0, presence_pause_after_stall_s=0.2, presence_interval_s=0.1)


def fast_world(redis: Any, *, shards: int = 2, **rules: int) -> LocalWorld:
    return LocalWorld(redis, shards=shards, seed=1, rules=Rules(demo=False, **rules), config=FAST)


async def test_an_agent_joins_walks_and_gets_ack_and_result_once(redis: Any) -> None:
    async with fast_world(redis) as world:
        agent = await player(world, "a")
        chunk_id, x, y = await agent.place()
        assert chunk_id == "chunk-0"
        result = await agent.move(x + 2 if x < 25 else x - 2, y)
        assert result["status"] == "completed"
        assert await agent.place() == (chunk_id, x + 2 if x < 25 else x - 2, y)
        kinds = Counter(kind for kind, _ in await agent.events())
        assert kinds["command_ack"] == 1
        assert kinds["command_result"] == 1
        assert await redis.hget(keys.agent("a"), "busy") == b""


async def test_a_command_submitted_twice_is_decided_once(redis: Any) -> None:
    async with fast_world(redis) as world:
        agent = await player(world, "a")
        _, x, y = await agent.place()
        cmd = {"type": "move_to", "x": x + 1, "y": y}
        first = await agent.submit(cmd, "cmd-x")
        again = await agent.submit(cmd, "cmd-x")
        assert first.accepted
        assert again.accepted or again.reason is None
        await agent.result("cmd-x")
        await asyncio.sleep(0.2)
        kinds = Counter(kind for kind, _ in await agent.events())
        assert (kinds["command_ack"], kinds["command_result"]) == (1, 1)


async def test_every_tick_number_of_a_chunk_rises(redis: Any) -> None:
    async with fast_world(redis) as world:
        agent = await player(world, "a")
        for _ in range(3):
            _, x, y = await agent.place()
            await agent.move(25 if x != 25 else 22, y)
        ids = [entry_id for entry_id, _ in await redis.xrange(keys.chunk_stream("chunk-0"))]
        ticks = [int(entry_id.split(b"-")[0]) for entry_id in ids]
        assert ticks == sorted(set(ticks))
        prevs = [fields[b"m"].split(b" ")[0] for _, fields in await redis.xrange(keys.chunk_stream("chunk-0"))]
        assert prevs == [b"0-0", *ids[:-1]]


@pytest.mark.parametrize("shards", [1, 2, 5])
async def test_an_agent_crosses_through_chunks_whoever_owns_them(redis: Any, shards: int) -> None:
    async with fast_world(redis, shards=shards) as world:
        agent = await player(world, "a")
        result = await agent.move(49, 24)
        assert result["status"] == "completed", result
        [(_, crossing)] = await agent.events("chunk_transition")
        assert crossing["from_chunk_id"] == "chunk-0"
        assert (crossing["from"], crossing["to"]) == ({"x": 49, "y": 24}, {"x": 0, "y": 24})
        chunk_id, x, y = await agent.place()
        assert (chunk_id, x, y) == (crossing["to_chunk_id"], 0, 24)
        await agent.move(3, 24)
        await agent.move(0, 24)
        assert (await agent.place())[0] == "chunk-0"
        assert await settled(world, [agent]) == []


@pytest.mark.parametrize("shards", [1, 4])
async def test_fifty_that_arrive_together_find_one_chunk(redis: Any, shards: int) -> None:
    async with fast_world(redis, shards=shards) as world:
        players = [await player(world, f"a{n}") for n in range(30)]
        side = [(49, 23), (49, 24), (49, 25), (49, 26), (0, 23), (0, 24), (0, 25), (0, 26)]
        moves = [p.submit({"type": "move_to", "x": side[n % 8][0], "y": side[n % 8][1]}) for n, p in enumerate(players)]
        decisions = await asyncio.gather(*moves)
        walking = [p for p, decision in zip(players, decisions, strict=True) if decision.accepted]
        assert len(walking) >= 8
        for one in walking:
            assert (await one.result())["status"] in ("completed", "failed")
        assert await settled(world, players) == []
        assert await redis.scard(keys.CHUNKS) <= 3


async def test_a_killed_shard_comes_back_to_its_last_commit(redis: Any) -> None:
    async with fast_world(redis) as world:
        agent = await player(world, "a")
        decision = await agent.submit({"type": "move_to", "x": 25, "y": 40})
        assert decision.accepted
        owner = int(await redis.hget(keys.chunk("chunk-0"), "shard") or -1)
        await asyncio.sleep(0.1)
        await world.kill_shard(owner)
        before = await newest_delta(redis, "chunk-0")
        await world.start_shard(owner)
        result = await agent.result()
        assert result["status"] == "completed"
        assert await agent.place() == ("chunk-0", 25, 40)
        assert (await newest_delta(redis, "chunk-0"))["tick"] > before["tick"]
        assert len(await agent.events("command_result")) == 1
        assert await settled(world, [agent]) == []


async def test_a_shard_that_has_lost_its_lease_ends_and_writes_nothing(redis: Any) -> None:
    async with fast_world(redis, shards=1) as world:
        agent = await player(world, "a")
        await Journal.acquire(redis, 0)
        task = world._tasks[0]
        await agent.router.close()

        async def ended() -> bool:
            return task.done()

        world.shards.runtimes[0].world.apply  # noqa: B018 - it is still there, with its old lease
        agent_moves = world.shards.runtimes[0].submit([command("a", "cmd-1", {"type": "move_to", "x": 25, "y": 24})])
        with pytest.raises(ShardUnavailable, match="has ended"):  # the tick before may have found it out
            await agent_moves
        await until(ended, "the loops end")
        assert await agent.events("command_ack") == []


@pytest.mark.parametrize("victim", ["source", "target"])
async def test_a_shard_killed_while_agents_cross_loses_and_doubles_nobody(redis: Any, victim: str) -> None:
    async with fast_world(redis, shards=4) as world:
        players = [await player(world, f"a{n}") for n in range(8)]
        side = [(49, 23), (49, 24), (49, 25), (49, 26), (0, 23), (0, 24), (0, 25), (0, 26)]
        await asyncio.gather(
            *(p.submit({"type": "move_to", "x": x, "y": y}) for p, (x, y) in zip(players, side, strict=True))
        )
        source = int(await redis.hget(keys.chunk("chunk-0"), "shard") or -1)
        for _ in range(6):
            await asyncio.sleep(0.1)
            owners = [
                int(await redis.hget(keys.chunk(name.decode()), "shard") or -1)
                for name in await redis.smembers(keys.CHUNKS)
            ]
            others = [owner for owner in owners if owner != source] or [source]
            shard = source if victim == "source" else others[0]
            await world.kill_shard(shard)
            await asyncio.sleep(0.02)
            await world.start_shard(shard)
        for one in players:
            for name in one.accepted:
                await one.result(name)
            results = Counter(payload["server_cmd_id"] for _, payload in await one.events("command_result"))
            assert all(number == 1 for number in results.values())
        assert await settled(world, players) == []


async def test_an_agent_without_news_of_a_gateway_leaves_and_comes_back_with_what_it_owns(redis: Any) -> None:
    async with fast_world(redis) as world:
        agent = await player(world, "a")
        before = await agent.place()
        await redis.zadd(keys.PRESENCE, {"a": 1})

        async def gone() -> bool:
            return bool(await redis.hget(keys.agent("a"), "here") == b"0")

        await until(gone, "a has left")
        assert not await redis.sismember(keys.members("chunk-0"), "a")
        assert [kind for kind, _ in await agent.events("agent_removed")] == ["agent_removed"]
        await agent.join()
        assert await agent.place() == before
        assert await settled(world, [agent]) == []


async def test_an_empty_chunk_is_collected_and_the_way_leads_to_a_new_one(redis: Any) -> None:
    async with fast_world(redis, shards=3, collect_idle_ticks=10) as world:
        agent = await player(world, "a")
        await agent.move(49, 24)
        first = (await agent.place())[0]
        await agent.move(2, 24)
        await agent.move(0, 24)
        assert (await agent.place())[0] == "chunk-0"

        async def collected() -> bool:
            return not await redis.exists(keys.chunk(first))

        await until(collected, f"{first} is collected")
        await agent.move(45, 24)
        await agent.move(49, 24)
        assert (await agent.place())[0] not in (first, "chunk-0")
        assert await settled(world, [agent]) == []


async def test_more_agents_than_a_chunk_holds_spread_outward(redis: Any) -> None:
    async with fast_world(redis, shards=3, spawn_chunk_capacity=5) as world:
        players = [Player(redis, world.router, f"a{n}") for n in range(23)]
        chunks = Counter(await asyncio.gather(*(one.join() for one in players)))
        assert sum(chunks.values()) == 23
        assert max(chunks.values()) == 5
        assert len(chunks) >= 5
        assert await settled(world, players) == []


async def test_redis_away_for_a_while_holds_the_world_still(redis: Any) -> None:
    async with fast_world(redis) as world:
        agent = await player(world, "a")
        await agent.submit({"type": "move_to", "x": 25, "y": 40})
        await redis.client_pause(1_000, all=True)
        result = await agent.result()
        assert result["status"] == "completed"
        assert len(await agent.events("command_result")) == 1
        assert await settled(world, [agent]) == []


async def test_what_a_shard_was_told_can_be_run_again_to_the_same_bytes(redis: Any, tmp_path: Path) -> None:
    config = replace(FAST, record_dir=str(tmp_path))
    async with LocalWorld(redis, shards=1, seed=1, rules=Rules(demo=False), config=config) as world:
        agent = await player(world, "a")
        await agent.move(25, 30)
        await agent.move(49, 24)
        await world.shards.runtimes[0].stop()
        await asyncio.wait([world._tasks[0]])
    verdict = verify_only_file(tmp_path)
    assert verdict.same
    assert verdict.complete
    assert verdict.takes > 20
