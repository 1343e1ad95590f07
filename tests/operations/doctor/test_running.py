from __future__ import annotations

import asyncio
import copy
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from cluster import backup_age
from config.settings import load_settings
from operations.doctor import running
from operations.doctor.finding import Finding, Installation, Skipped
from operations.doctor.running import judge_archiver, judge_backup, judge_readiness, judge_status

GOOD: dict[str, Any] = {
    "actors": {
        "gateway-0": {"pid": 1},
        "shard-0": {"last_tick_age_s": 0.1, "stalled": False, "tick_ms": {"p99": 20.0}},
    },
    "nodes": [{"node": "abc", "alive": True}],
    "misplaced": 0,
}


def status(path: str, value: object) -> dict[str, Any]:
    """``GOOD`` with one thing changed."""
    changed = copy.deepcopy(GOOD)
    *parents, name = path.split("/")
    place = changed
    for parent in parents:
        place = place[parent]
    place[name] = value
    return changed


def test_a_world_in_order_has_no_findings() -> None:
    assert judge_status(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("actors/shard-0", {"error": "shard-0 has died"}, "shard-0 does not answer"),
        ("actors/gateway-0", {"error": "no answer"}, "gateway-0 does not answer"),
        ("actors/shard-0/stalled", True, "waits for Redis"),
        ("actors/shard-0/last_tick_age_s", 12.0, "has not ticked for 12 s"),
        ("actors/shard-0/last_tick_age_s", None, "has not ticked yet"),
        ("actors/shard-0/tick_ms", {"p99": 180.0}, "p99 of the ticks of shard-0 is 180 ms"),
        ("misplaced", 3, "3 chunks"),
        ("nodes", [{"node": "abc", "alive": False}], "no Ray node"),
    ],
)
def test_what_is_wrong_with_a_world_is_found(path: str, value: object, words: str) -> None:
    [finding] = judge_status(status(path, value))
    assert words in finding.reason
    assert finding.remedy


def test_a_dead_node_beside_living_ones_is_history() -> None:
    nodes = [{"node": "abc", "alive": False}, {"node": "def", "alive": True}]
    assert judge_status(status("nodes", nodes)) == []


@pytest.mark.parametrize(
    ("actor", "found"),
    [
        ({"archive_lag_s": 1.0, "archive_lost": 0}, 0),
        ({"archive_lag_s": None}, 0),
        ({"archive_lag_s": 90.0, "archive_waiting": 5}, 1),
        ({"archive_lag_s": 90.0, "archive_lost": 2}, 2),
    ],
)
def test_an_event_log_that_lags_or_loses(actor: dict[str, Any], found: int) -> None:
    assert len(list(judge_archiver(actor))) == found


@pytest.mark.parametrize(("age_s", "found"), [(None, 1), (0.0, 0), (26 * 3600.0, 0), (27 * 3600.0, 1)])
def test_backups(age_s: float | None, found: int) -> None:
    assert len(list(judge_backup(age_s, 26.0))) == found


def test_a_gateway_that_cannot_serve_says_why() -> None:
    answer = httpx.Response(503, json={"detail": "not_ready", "problems": ["redis_timeout", "shard_1_unavailable"]})
    [finding] = judge_readiness("x:1", answer)
    assert "redis_timeout, shard_1_unavailable" in finding.reason
    [odd] = judge_readiness("x:1", httpx.Response(502, text="<html>"))
    assert "status 502" in odd.reason


async def findings_at(port: int) -> list[Finding]:
    return list(await running.gateways(Installation(load_settings(), f"http://127.0.0.1:{port}")))


async def test_who_answers_at_the_port() -> None:
    [finding] = await findings_at(1)
    assert "nothing listens" in finding.reason

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(stranger, "127.0.0.1", 0)
    async with server:
        [finding] = await findings_at(server.sockets[0].getsockname()[1])
    assert "no gateway of ours" in finding.reason


async def test_without_a_coordinator_there_is_no_world(redis: Redis, valkey_url: str) -> None:
    it = Installation(load_settings(redis_url=valkey_url), "http://127.0.0.1:1")
    with pytest.raises(Skipped):
        await running.shards(it)
    it.redis_info = {}
    [finding] = await running.shards(it)
    assert "no coordinator" in finding.reason
    it.status = GOOD
    assert list(await running.shards(it)) == []


async def test_a_backup_that_was_noted_is_found(redis: Redis, valkey_url: str) -> None:
    it = Installation(load_settings(redis_url=valkey_url), "http://127.0.0.1:1", redis_info={})
    [finding] = await running.backups(it)
    assert finding.reason == "no backup is known"
    await backup_age.note(redis, "/backups/one")
    assert list(await running.backups(it)) == []
