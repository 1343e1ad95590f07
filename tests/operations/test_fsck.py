"""The checker finds each kind of damage, and nothing in a whole world."""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli
from cluster.local import LocalWorld
from cluster.shard.config import ShardConfig
from cluster.world_rules import stored
from operations.fsck import Dump, agents_in_world, check, read_dump
from operations.operator_redis import REDIS_URL_VARIABLE
from streaming import keys
from tests.cluster.shard.stage import EAST, HALL, START, Stage
from tests.cluster.worlds import player
from world.rules import Rules, WorldRules

NOW_MS = 1_000_000


def record(chunk_id: str, **more: Any) -> str:
    return orjson.dumps({"agent_id": "a", "chunk_id": chunk_id, "x": 1, "y": 1, "running": None, **more}).decode()


def chunk(members: list[str] | None = None, **fields: str) -> dict[str, Any]:
    return {"fields": {"shard": "0", **fields}, "members": members or [], "inbox": {}, "resv": {}, "last": ""}


def whole() -> Dump:
    """``chunk-0`` with ``a`` in it, linked to ``chunk-1``; ``b`` is on its way there."""
    dump = Dump(
        world={"shard_count": "2"},
        population={"chunk-0": "1", "chunk-1": "0"},
        chunks={"chunk-0": chunk(["a"], E="chunk-1"), "chunk-1": chunk(W="chunk-0")},
        agents={
            "a": {"here": "1", "chunk": "chunk-0", "busy": "", "rec": record("chunk-0")},
            "b": {"here": "1", "chunk": "chunk-1", "busy": "", "rec": record("chunk-1")},
            "left": {"here": "0", "chunk": "chunk-9", "rec": "{}"},
        },
        shards={"0": "3"},
        now_ms=NOW_MS,
    )
    arrival = {"record": {"agent_id": "b"}, "x": 0, "y": 24}
    dump.chunks["chunk-1"] |= {
        "inbox": {"ho-b": orjson.dumps(arrival).decode()},
        "resv": {"0,24": "ho-b 1", "0,25": f"ho-c {NOW_MS + 5_000}"},
    }
    dump.chunks["chunk-0"]["last"] = delta([("a", 1, 1)])
    return dump


def delta(agents: list[tuple[str, int, int]], npcs: list[tuple[str, int, int]] | None = None) -> str:
    agents_shown, npcs_shown = ([{"id": i, "x": x, "y": y} for i, x, y in shown] for shown in (agents, npcs or []))
    return "0-0 chunk_delta 1 t\n" + orjson.dumps({"agents": agents_shown, "npcs": npcs_shown}).decode()


def set_at(path: str, value: Any) -> Callable[[Dump], None]:
    """Damage: put ``value`` at a path like ``chunks/chunk-0/fields/shard``; None deletes."""

    def damage(dump: Dump) -> None:
        first, *between, last = path.split("/")
        place = getattr(dump, first)
        for name in between:
            place = place[name]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return damage


TABLE = [
    ("bad_rules", "world", set_at("world/tick_hz", "5")),
    ("bad_rules", "world", lambda dump: dump.world.update(stored(WorldRules()) | {"gold_nodes_max": "many"})),
    ("one_sided_link", "chunk-0", set_at("chunks/chunk-1/fields/W", None)),
    ("one_sided_link", "chunk-0", set_at("chunks/chunk-0/fields/N", "chunk-7")),
    ("orphan_chunk", "chunk-5", set_at("chunks/chunk-5", chunk())),
    ("chunk_without_record", "chunk-1", set_at("chunks/chunk-1/fields", {})),
    ("no_owner", "chunk-0", set_at("chunks/chunk-0/fields/shard", "7")),
    ("no_owner", "chunk-0", set_at("chunks/chunk-0/fields/shard", "rubbish")),
    ("no_owner", "chunk-0", set_at("chunks/chunk-0/fields/shard", None)),
    ("agent_nowhere", "a", set_at("chunks/chunk-0/members", [])),
    ("agent_nowhere", "b", set_at("chunks/chunk-1/inbox", {})),
    ("agent_twice", "a", set_at("chunks/chunk-1/members", ["a"])),
    ("agent_twice", "b", set_at("chunks/chunk-0/members", ["a", "b"])),
    ("agent_not_here", "a", set_at("agents/a/here", "0")),
    ("agent_not_here", "stranger", set_at("chunks/chunk-1/members", ["stranger"])),
    ("agent_elsewhere", "a", set_at("agents/a/chunk", "chunk-1")),
    ("agent_elsewhere", "b", set_at("agents/b/chunk", "chunk-0")),
    ("unreadable_record", "a", set_at("agents/a/rec", "{not json")),
    ("unreadable_record", "a", set_at("agents/a/rec", None)),
    ("record_elsewhere", "a", set_at("agents/a/rec", record("chunk-1"))),
    ("wrong_busy", "a", set_at("agents/a/busy", "move_to")),
    ("wrong_busy", "a", set_at("agents/a/rec", record("chunk-0", running={"kind": "harvest"}))),
    ("unreadable_arrival", "chunk-1", set_at("chunks/chunk-1/inbox/ho-b", "[]")),
    ("arrival_without_reservation", "chunk-1", set_at("chunks/chunk-1/resv", {})),
    ("arrival_without_reservation", "chunk-1", set_at("chunks/chunk-1/resv/0,24", "ho-c 2000000")),
    ("stale_reservation", "chunk-1", set_at("chunks/chunk-1/resv/0,25", "ho-c 1")),
    ("shared_cell", "chunk-0", set_at("chunks/chunk-0/last", delta([("a", 1, 1), ("x", 1, 1)]))),
    ("shared_cell", "chunk-0", set_at("chunks/chunk-0/last", delta([("a", 1, 1)], [("slime", 1, 1)]))),
    ("agent_shown_twice", "a", set_at("chunks/chunk-0/last", delta([("a", 1, 1), ("a", 2, 1)]))),
    ("unreadable_delta", "chunk-0", set_at("chunks/chunk-0/last", "0-0 chunk_delta 1 t\n{cut")),
    ("wrong_population", "chunk-0", set_at("population/chunk-0", "4")),
    ("wrong_population", "chunk-0", set_at("population/chunk-0", "many")),
    ("wrong_population", "chunk-0", set_at("population/chunk-0", None)),
    ("wrong_population", "chunk-8", set_at("population/chunk-8", "1")),
]


@pytest.mark.parametrize(("code", "subject", "damage"), TABLE)
def test_each_kind_of_damage_is_found(code: str, subject: str, damage: Callable[[Dump], None]) -> None:
    dump = whole()
    damage(dump)
    assert (code, subject) in [(finding.code, finding.subject) for finding in check(dump)]


def test_a_whole_world_has_no_findings() -> None:
    assert check(whole()) == []
    assert check(Dump(chunks={"chunk-0": chunk()}, world={"shard_count": "1"}, population={"chunk-0": "0"})) == []


def test_a_chunk_that_a_shard_beyond_the_count_still_has_to_hand_over_is_no_damage() -> None:
    dump = whole()
    dump.chunks["chunk-1"]["fields"]["shard"] = "4"
    dump.shards["4"] = "9"
    assert check(dump) == []


async def test_a_world_in_play_is_whole_at_every_moment(redis: Redis) -> None:
    config = ShardConfig(tick_hz=50.0)
    async with LocalWorld(redis, shards=3, seed=1, rules=Rules(demo=False), config=config) as world:
        players = [await player(world, f"a{number}") for number in range(6)]
        doors = [(49, 23), (49, 24), (0, 24), (0, 25), (24, 49), (25, 0)]
        moves = ({"type": "move_to", "x": x, "y": y} for x, y in doors)
        await asyncio.gather(*(one.submit(move) for one, move in zip(players, moves, strict=True)))
        playing = asyncio.gather(*(one.result() for one in players))
        looks = 0
        while not playing.done():
            looks += 1
            assert check(await read_dump(redis, [one.agent_id for one in players])) == []
            await asyncio.sleep(0.01)
        assert looks > 5
        assert sorted(await agents_in_world(redis)) == [one.agent_id for one in players]


async def test_damage_in_redis_is_read_as_such(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.tick()
    await stage.redis.srem(keys.members(HALL), "a")
    await stage.redis.hset(keys.inbox(EAST), "ho-1", "{cut")
    await stage.redis.hset(keys.reservations(EAST), "0,26", "ho-2 1")
    found = check(await read_dump(stage.redis, await agents_in_world(stage.redis)))
    assert [(finding.code, finding.subject) for finding in found] == [
        ("agent_nowhere", "a"),
        ("stale_reservation", EAST),
        ("unreadable_arrival", EAST),
        ("wrong_population", HALL),
    ]


# -- the command --


@pytest.fixture
def stage_url(stage: Stage, valkey_url: str) -> str:
    return valkey_url


def run_fsck(*words: str, **environment: str | None) -> tuple[int, str]:
    unset: dict[str, str | None] = {REDIS_URL_VARIABLE: None, "CHUNKCRAWL_DATA_DIR": None, "COLUMNS": "120"}
    result = CliRunner().invoke(cli.app, ["fsck", *words], env=unset | environment, prog_name="chunkcrawl")
    return result.exit_code, result.output


async def fsck(*words: str, **environment: str | None) -> tuple[int, str]:
    """The command has an event loop of its own, so it runs in a thread."""
    return await asyncio.to_thread(lambda: run_fsck(*words, **environment))


async def test_the_command_says_that_a_world_is_whole(stage: Stage, stage_url: str) -> None:
    await stage.stand("a", *START)
    await stage.tick()
    assert await fsck(CHUNKCRAWL_REDIS_URL=stage_url) == (0, "Whole: 2 chunks, 1 agents.\n")
    code, output = await fsck("--json", CHUNKCRAWL_REDIS_URL=stage_url)
    assert (code, json.loads(output)) == (0, {"whole": True, "chunks": 2, "agents": 1, "findings": []})


async def test_the_command_finds_the_running_services(stage: Stage, stage_url: str, tmp_path: Any) -> None:
    (tmp_path / "services.json").write_text(json.dumps({"redis_url": stage_url, "database_url": ""}))
    held = (tmp_path / "lock").open("w")  # as `chunkcrawl up` does
    fcntl.flock(held, fcntl.LOCK_EX)
    code, output = await fsck("--data", str(tmp_path))
    assert code == 0, output
    code, output = await fsck(CHUNKCRAWL_DATA_DIR=str(tmp_path))
    assert code == 0, output


async def test_the_command_lists_what_is_wrong(stage: Stage, stage_url: str) -> None:
    await stage.redis.hdel(keys.chunk(EAST), "W")
    await stage.redis.hset(keys.agent("[b]"), mapping={"here": "1", "chunk": HALL})
    code, output = await fsck(CHUNKCRAWL_REDIS_URL=stage_url)
    assert code == 1
    for word in ("one_sided_link", HALL, "agent_nowhere", "[b]"):
        assert word in output
    code, output = await fsck("--json", CHUNKCRAWL_REDIS_URL=stage_url)
    assert code == 1
    found = json.loads(output)
    assert not found["whole"]
    assert ("one_sided_link", HALL) in [(finding["code"], finding["subject"]) for finding in found["findings"]]


async def test_the_command_says_when_there_is_no_world(redis: Redis, valkey_url: str, tmp_path: Any) -> None:
    code, output = await fsck("--data", str(tmp_path))
    assert (code, str(tmp_path) in output) == (3, True)
    code, output = await fsck(CHUNKCRAWL_REDIS_URL=valkey_url)
    assert (code, "no world" in output) == (3, True)
    code, output = await fsck(CHUNKCRAWL_REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert code == 3
    assert "secret" not in output
    assert await redis.dbsize() == 0
