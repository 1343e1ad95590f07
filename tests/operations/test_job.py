"""Backups and checks asked for over HTTP: a process of its own, its progress, its outcome in both places."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from api.operator.port import CantDo
from cluster import operator_jobs
from cluster.graph import init_world
from cluster.operator_jobs import LOST_AFTER_MS, begin, list_backups, read_jobs, write_job
from config.settings import Settings
from operations.job import JobRun
from store import audit
from store.audit import AuditEntry
from store.engine import make_engine
from streaming import keys
from tests.cluster.worlds import until

ENTRY = AuditEntry("opr_1", "alice", "operator", "10.0.0.1", "back-up", "", {})


@pytest.fixture
async def engine(fresh_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(fresh_postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def settings(redis: Redis, valkey_url: str, fresh_postgres_url: str, tmp_path: Path) -> Settings:
    await init_world(redis, seed=1, shard_count=2)
    return Settings(
        environment="test", database_url=fresh_postgres_url, redis_url=valkey_url, backup_dir=str(tmp_path / "b")
    )


async def started(redis: Redis, settings: Settings, engine: AsyncEngine, kind: Any, name: str) -> dict[str, Any]:
    audit_id = await audit.begin(engine, ENTRY, 1)
    return await begin(redis, settings, kind, name, by="alice", audit_id=audit_id)


async def over(redis: Redis) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        [job, *_] = await read_jobs(redis)
        return None if job["state"] == "running" else dict(job)

    found: dict[str, Any] = await until(look, "the end of the job", 120)
    return found


async def test_a_backup_in_a_process_of_its_own_is_listed_and_written_down(
    redis: Redis, settings: Settings, engine: AsyncEngine
) -> None:
    job = await started(redis, settings, engine, "backup", "first")
    assert (job["state"], "audit_id" in job) == ("running", False)
    found = await over(redis)
    assert (found["state"], found["percent"]) == ("done", 100), found
    [backup] = await asyncio.to_thread(list_backups, settings)
    assert (backup["name"], backup["chunks"], backup["agents"]) == ("first", 1, 0)

    async def line() -> Any:
        [line] = await audit.lines(engine, limit=1)
        return line if line.outcome != "begun" else None

    assert (await until(line, "the outcome in the audit log")).outcome == "done"
    with pytest.raises(CantDo, match="already"):
        await begin(redis, settings, "backup", "first", by="alice", audit_id=1)


async def run_here(redis: Redis, settings: Settings, engine: AsyncEngine, kind: str, name: str) -> dict[str, Any]:
    audit_id = await audit.begin(engine, ENTRY, 1)
    job = {"job_id": "job_1", "kind": kind, "name": name, "state": "running", "step": "", "percent": 0, "text": ""}
    job |= {"by": "alice", "at_ms": 1, "ended_ms": None, "heard_ms": 1, "audit_id": audit_id}
    await redis.lpush(keys.JOBS, b"{}")
    await redis.lset(keys.JOBS, 0, orjson.dumps(job).decode())
    await JobRun(settings, job).run()
    [found] = await read_jobs(redis)
    return dict(found)


async def test_a_world_that_is_not_whole_is_a_failure_with_its_findings(
    redis: Redis, settings: Settings, engine: AsyncEngine
) -> None:
    await redis.hset(keys.chunk("chunk-0"), "N", "chunk-9")
    found = await run_here(redis, settings, engine, "fsck", "world")
    assert found["state"] == "failed"
    assert "one_sided_link chunk-0" in found["text"]
    [line] = await audit.lines(engine, limit=1)
    assert (line.outcome, line.reason) == ("failed", found["text"])


async def test_a_whole_world_is_said_to_be(redis: Redis, settings: Settings, engine: AsyncEngine) -> None:
    found = await run_here(redis, settings, engine, "fsck", "world")
    assert (found["state"], found["text"]) == ("done", "whole: 1 chunks")


async def test_what_is_no_backup_fails_in_one_line(redis: Redis, settings: Settings, engine: AsyncEngine) -> None:
    found = await run_here(redis, settings, engine, "verify", "none")
    assert found["state"] == "failed"
    assert "\n" not in found["text"]


async def test_one_that_is_not_heard_of_is_lost_and_another_may_begin(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(operator_jobs, "_start", nothing)
    now = 1_000_000
    monkeypatch.setattr(operator_jobs, "now_ms", lambda: now)
    await begin(redis, settings, "fsck", "world", by="alice", audit_id=1)
    with pytest.raises(CantDo, match="running"):
        await begin(redis, settings, "fsck", "world", by="alice", audit_id=1)
    now += LOST_AFTER_MS + 1
    assert [job["state"] for job in await read_jobs(redis)] == ["lost"]
    await begin(redis, settings, "fsck", "world", by="alice", audit_id=1)
    await write_job(redis, {"job_id": "job_none"})  # one that nobody keeps any more
    assert [job["state"] for job in await read_jobs(redis)] == ["running", "lost"]
