"""Checks of PostgreSQL and Redis: reachable, new enough, set to keep what they are told, and of one time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from migrations.run import current, head
from operations.doctor.finding import Finding, Installation, Skipped
from store.engine import make_engine
from streaming import keys
from streaming.connect import as_text, connect
from streaming.shared_clock import SKEW_MOST_S

TIMEOUT_S: Final = 5.0
POSTGRES_LEAST: Final = 16
REDIS_LEAST: Final = 7
VALKEY_LEAST: Final = 8
MEMORY_MOST_SHARE: Final = 0.8

HARM: Final = "nobody plays any worse for it, but times in logs, keys and the event log do not fit together"
CLOCK_REMEDY: Final = "run a time service (chrony, systemd-timesyncd) on every machine"
START_REMEDY: Final = "start it, or put its URL right; `chunkcrawl up` starts one where no URL is set"


async def database(installation: Installation) -> Iterator[Finding]:
    """Check that PostgreSQL answers, is new enough, and has the tables of this version."""
    url = installation.settings.database_url
    if not url:
        return iter([Finding("no PostgreSQL is known", "set CHUNKCRAWL_DATABASE_URL, or --data of a running world")])
    try:
        version, revision = await _limited(_ask_database(url))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        return iter([Finding(f"PostgreSQL does not answer ({type(error).__name__})", START_REMEDY)])
    installation.database_ok = True
    return iter(judge_database(version, revision, head()))


async def _ask_database(url: str) -> tuple[int, str | None]:
    engine = make_engine(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            version = (await connection.execute(text("SHOW server_version_num"))).scalar_one()
    finally:
        await engine.dispose()
    return int(version) // 10_000, await current(url)


def judge_database(version: int, revision: str | None, wanted: str | None) -> list[Finding]:
    """Judge the server's version and the revision of its tables."""
    findings = []
    if version < POSTGRES_LEAST:
        findings.append(
            Finding(f"PostgreSQL {version} is older than {POSTGRES_LEAST}", "upgrade it (dump, then restore)")
        )
    if revision != wanted:
        findings.append(
            Finding(
                f"the database is at revision {revision or 'none'}, this version needs {wanted}",
                "start this version once (`chunkcrawl up` migrates), or `python -m migrations.run upgrade`",
            )
        )
    return findings


async def redis(installation: Installation) -> Iterator[Finding]:
    """Check that Redis or Valkey answers, is new enough, and forgets nothing."""
    url = installation.settings.redis_url
    if not url:
        return iter([Finding("no Redis is known", "set CHUNKCRAWL_REDIS_URL, or --data of a running world")])
    client = connect(url)
    try:
        info = await _limited(client.info())
        info["appendfsync"] = await _limited(_fsync_of(client))
        status = await _limited(client.get(keys.STATUS))
    except (RedisError, OSError, TimeoutError) as error:
        return iter([Finding(f"Redis does not answer ({type(error).__name__})", START_REMEDY)])
    finally:
        await client.aclose()
    installation.redis_info = info
    installation.status = orjson.loads(status) if status else None
    return iter([*_redis_version(info), *judge_durability(info), *judge_memory(info)])


async def _fsync_of(client: Redis) -> str | None:
    """Return when the server flushes to the disk (``appendfsync``); None: it does not say."""
    try:
        found = await client.config_get("appendfsync")
    except ResponseError:  # hosted servers forbid it
        return None
    return next((as_text(value) for value in found.values() if value is not None), None)


def _redis_version(info: dict[str, Any]) -> Iterator[Finding]:
    name, least = ("Valkey", VALKEY_LEAST) if "valkey_version" in info else ("Redis", REDIS_LEAST)
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    if int(version.partition(".")[0]) < least:
        yield Finding(
            f"{name} {version} is older than {least}", "upgrade it; its append-only file is read by newer ones"
        )


def judge_durability(info: dict[str, Any]) -> Iterator[Finding]:
    """Judge by INFO and ``appendfsync`` whether a power cut would cost more than a second or two."""
    if not info.get("aof_enabled"):
        yield Finding(
            "the append-only file is off: what the shards have committed is lost when Redis restarts",
            "`appendonly yes` and `appendfsync everysec` in its configuration; `CONFIG SET` does it at once",
        )
    elif info.get("aof_last_write_status", "ok") != "ok" or info.get("aof_last_bgrewrite_status", "ok") != "ok":
        yield Finding(
            "the append-only file can't be written, or could not be rewritten last time",
            "look at the disk (space, permissions) and at the server's log",
        )
    elif info.get("appendfsync") == "no":
        yield Finding(
            "`appendfsync` is `no`: a power cut takes what the system had not written yet, some 30 s of the world",
            "`appendfsync everysec` (one to two seconds), or `always` (nothing that was acknowledged)",
        )
    elif info.get("appendfsync", "") is None:
        yield Finding(
            "the server does not say what its `appendfsync` is: a power cut may take more than the last second or two",
            "ask whoever runs it whether it is `everysec` or `always`",
            "warning",
        )
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        yield Finding(
            f"the eviction policy is {info['maxmemory_policy']}: a full Redis throws away parts of the world",
            "`maxmemory-policy noeviction`",
        )


def judge_memory(info: dict[str, Any]) -> Iterator[Finding]:
    """Judge by INFO how much room is left, of its own limit or of the machine's memory."""
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    machine = int(info.get("total_system_memory", 0))
    limit = most or machine
    if limit and used > MEMORY_MOST_SHARE * limit:
        of = "its limit" if most else "the machine's memory"
        yield Finding(
            f"Redis uses {used / 1024**2:.0f} MiB, {used / limit:.0%} of {of}; when it is full, shards stand still",
            "raise `maxmemory` or give it more memory; CHUNKCRAWL_REPLAY_WINDOW_TICKS lowers what it needs",
        )
    if most > machine > 0:
        yield Finding("`maxmemory` is more than the machine has", "lower it, or the kernel will end Redis", "warning")


async def clocks(installation: Installation) -> Iterator[Finding]:
    """Check that this machine, PostgreSQL, Redis, and those of shards and gateways agree about the time."""
    if installation.redis_info is None or not installation.database_ok:
        raise Skipped("PostgreSQL or Redis does not answer")
    client, engine = (
        connect(installation.settings.redis_url),
        make_engine(installation.settings.database_url, pool_size=1),
    )
    try:
        skews = {"Redis": await _limited(_redis_skew_s(client))}
        async with asyncio.timeout(TIMEOUT_S), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            began = time.time()
            there = (await connection.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one()
            skews["PostgreSQL"] = float(there) - (began + time.time()) / 2
    except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
        raise Skipped(f"one of them stopped answering ({type(error).__name__})") from None
    finally:
        await client.aclose()
        await engine.dispose()
    return iter([*judge_clocks(skews), *judge_actors(installation.status or {})])


def judge_actors(status: dict[str, Any]) -> list[Finding]:
    """Judge what the coordinator wrote; of each node one actor is named."""
    by_node = {
        actor.get("node"): (name, float(actor["clock_ahead_s"]))
        for name, actor in status.get("actors", {}).items()
        if actor.get("clock_ahead_s") is not None
    }
    return judge_clocks({f"the machine of {name}": ahead for name, ahead in by_node.values()}, than="Redis'")


async def _redis_skew_s(client: Redis) -> float:
    await client.ping()
    began = time.time()
    seconds, micros = await client.time()
    return seconds + micros / 1e6 - (began + time.time()) / 2


def judge_clocks(skews_s: dict[str, float], than: str = "this machine's") -> list[Finding]:
    """Judge ``skews_s``: how much each is ahead of another."""
    return [
        Finding(
            f"the clock of {name} is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} {than}: {HARM}",
            CLOCK_REMEDY,
            "warning",
        )
        for name, skew in skews_s.items()
        if abs(skew) > SKEW_MOST_S
    ]


async def _limited(work: Any) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        return await work
