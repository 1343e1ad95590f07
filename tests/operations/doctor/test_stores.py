from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from cli.status import wrong_clocks
from config.settings import load_settings
from migrations.run import head, upgrade
from operations.doctor import stores
from operations.doctor.finding import Installation, Skipped
from operations.doctor.stores import judge_actors, judge_clocks, judge_database, judge_durability, judge_memory

NOWHERE = "127.0.0.1:1"


def installation(**urls: str) -> Installation:
    return Installation(load_settings(**urls), "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"aof_enabled": 1, "appendfsync": "everysec"}, []),
        ({"aof_enabled": 1, "appendfsync": "always"}, []),
        ({"aof_enabled": 1, "appendfsync": "no"}, ["30 s"]),
        ({"aof_enabled": 1, "appendfsync": None}, ["does not say"]),
        ({"aof_enabled": 1, "maxmemory_policy": "noeviction"}, []),
        ({"aof_enabled": 0, "maxmemory_policy": "noeviction"}, ["append-only"]),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, ["append-only"]),
        ({"aof_enabled": 1, "aof_last_bgrewrite_status": "err"}, ["append-only"]),
        ({"aof_enabled": 0, "maxmemory_policy": "allkeys-lru"}, ["append-only", "allkeys-lru"]),
    ],
)
def test_a_redis_that_forgets_is_found(info: dict[str, Any], words: list[str]) -> None:
    found = [finding.reason for finding in judge_durability(info)]
    assert len(found) == len(words)
    assert all(word in reason for word, reason in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("used", "most", "machine", "found"),
    [(10, 0, 100, 0), (90, 0, 100, 1), (10, 50, 100, 0), (45, 50, 100, 1), (10, 200, 100, 1), (0, 0, 0, 0)],
)
def test_room_in_memory(used: int, most: int, machine: int, found: int) -> None:
    info = {"used_memory": used, "maxmemory": most, "total_system_memory": machine}
    assert len(list(judge_memory(info))) == found


@pytest.mark.parametrize(("version", "revision", "found"), [(16, "b", 0), (15, "b", 1), (18, "a", 1), (15, None, 2)])
def test_databases(version: int, revision: str | None, found: int) -> None:
    assert len(judge_database(version, revision, "b")) == found


def test_clocks_that_differ_are_named_with_their_direction() -> None:
    ahead, behind = judge_clocks({"Redis": 3.0, "PostgreSQL": -2.5})
    assert "Redis is 3.0 s ahead" in ahead.reason
    assert "PostgreSQL is 2.5 s behind" in behind.reason
    assert judge_clocks({"Redis": 1.4, "PostgreSQL": -1.4}) == []


def test_a_machine_with_a_wrong_clock_is_named_once() -> None:
    actors = {
        "gateway-0": {"node": "a", "clock_ahead_s": 0.01},
        "shard-0": {"node": "b", "clock_ahead_s": 12.0},
        "shard-1": {"node": "b", "clock_ahead_s": 12.1},
        "coordinator": {"node": "a", "clock_ahead_s": None},
        "shard-2": {"error": "no answer"},
    }
    [finding] = judge_actors({"actors": actors})
    assert "shard-1 is 12.1 s ahead of Redis'" in finding.reason
    assert finding.remedy
    assert wrong_clocks(actors) == ["shard-0 +12.0 s", "shard-1 +12.1 s"]


async def test_a_database_at_head_is_in_order_and_its_clock_is_ours(
    redis: Redis, valkey_url: str, blank_postgres_url: str
) -> None:
    it = installation(database_url=blank_postgres_url, redis_url=valkey_url)
    [finding] = await stores.database(it)
    assert finding.reason == f"the database is at revision none, this version needs {head()}"
    await upgrade(blank_postgres_url)
    assert list(await stores.database(it)) == []
    [no_aof] = await stores.redis(it)  # the tests' server keeps nothing
    assert "append-only" in no_aof.reason
    await redis.config_set("appendonly", "yes")
    try:
        assert list(await stores.redis(it)) == []
    finally:
        await redis.config_set("appendonly", "no")
    assert list(await stores.clocks(it)) == []


async def test_stores_that_are_away_are_found_in_time_and_their_clocks_left_alone() -> None:
    it = installation(database_url=f"postgresql://u:word@{NOWHERE}/x", redis_url=f"redis://:word@{NOWHERE}/0")
    for check in (stores.database, stores.redis):
        [finding] = await check(it)
        assert "does not answer" in finding.reason
        assert "word" not in finding.reason + finding.remedy
    with pytest.raises(Skipped):
        await stores.clocks(it)


async def test_stores_that_nobody_named_are_found() -> None:
    for check in (stores.database, stores.redis):
        [finding] = await check(installation())
        assert "CHUNKCRAWL_" in finding.remedy
