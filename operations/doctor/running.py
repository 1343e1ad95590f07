"""Checks of the world that runs: gateways, shards, the event log, backups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from redis.exceptions import RedisError

from chunkcrawl.errors import ServerUnreachable
from chunkcrawl.transport.proxies import http_client, over, proxy_for
from cluster.backup_age import read_age
from operations.doctor.finding import Finding, Installation, Skipped
from streaming.connect import connect

TIMEOUT_S: Final = 5.0
TICK_AGE_MOST_S: Final = 5.0
TICK_P99_MOST_MS: Final = 150.0
ARCHIVE_LAG_MOST_S: Final = 60.0
RECORDING_LAG_MOST_S: Final = 120.0


async def gateways(installation: Installation) -> Iterator[Finding]:
    """Check that the port answers, that a gateway of ours is behind it, and that it can serve."""
    where = urlsplit(installation.base_url).netloc
    try:
        proxy = proxy_for(installation.base_url)
        async with http_client(proxy, timeout=TIMEOUT_S) as http:
            alive = await http.get(f"{installation.base_url}/healthz")
            ready = await http.get(f"{installation.base_url}/readyz")
    except ServerUnreachable as error:
        return iter([Finding(f"{where} can't be asked", str(error))])
    except httpx.ConnectError:
        reason = f"nothing listens at {where}{over(proxy)}"
        return iter([Finding(reason, "start the world; or name the right address with --base")])
    except httpx.HTTPError as error:
        reason = f"{where} does not answer in time ({type(error).__name__}){over(proxy)}"
        return iter([Finding(reason, "see the gateways' logs")])
    return iter([*judge_health(where, alive.status_code, alive.text), *judge_readiness(where, ready)])


def judge_health(where: str, status: int, body: str) -> Iterator[Finding]:
    """Judge what ``/healthz`` answered."""
    if status != 200 or '"ok"' not in body:
        yield Finding(f"what listens at {where} is no gateway of ours", "free the port, or set CHUNKCRAWL_PORT")


def judge_readiness(where: str, ready: httpx.Response) -> Iterator[Finding]:
    """Judge what ``/readyz`` answered."""
    if ready.status_code == 200:
        return
    try:
        problems = ", ".join(ready.json()["problems"])
    except (ValueError, KeyError, TypeError):
        problems = f"status {ready.status_code}"
    yield Finding(f"the gateway at {where} can't serve: {problems}", 'docs/operating.md ("Recover") has each of them')


async def shards(installation: Installation) -> Iterator[Finding]:
    """Check that the coordinator writes its status and that every actor in it does its work."""
    if installation.redis_info is None:
        raise Skipped("Redis does not answer")
    if installation.status is None:
        remedy = "start the world; if it runs, coordinator.log says why"
        return iter([Finding("no coordinator has written a status in the last 30 s", remedy)])
    return iter(judge_status(installation.status))


def judge_status(status: dict[str, Any]) -> list[Finding]:
    """Judge what the coordinator wrote."""
    findings = []
    for name, actor in status["actors"].items():
        if "error" in actor:
            remedy = f"see {name}.log, and `chunkcrawl status` for whether a node is missing"
            findings.append(Finding(f"{name} does not answer", remedy))
        elif name.startswith("shard-"):
            findings += _judge_shard(name, actor)
    dead = [node["node"] for node in status.get("nodes", ()) if not node["alive"]]
    if status.get("misplaced"):
        reason = f"{status['misplaced']} chunks are not on the shard that they belong to"
        findings.append(Finding(reason, "they are being moved; if the number stands, see coordinator.log", "warning"))
    if dead and all(node["alive"] is False for node in status["nodes"]):
        findings.append(Finding("no Ray node is alive", "start the cluster again"))
    return findings


def _judge_shard(name: str, actor: dict[str, Any]) -> Iterator[Finding]:
    age = actor.get("last_tick_age_s")
    if actor.get("stalled"):
        yield Finding(f"{name} waits for Redis; its chunks stand still", "see the check of Redis")
    elif age is None or age > TICK_AGE_MOST_S:
        told = "has not ticked yet" if age is None else f"has not ticked for {age:.0f} s"
        yield Finding(f"{name} {told}", f"see {name}.log; Ray starts it again when its process is ended")
    p99 = actor.get("tick_ms", {}).get("p99", 0.0)
    if p99 > TICK_P99_MOST_MS:
        reason = f"p99 of the ticks of {name} is {p99:.0f} ms, of 200 that there are"
        yield Finding(reason, "`chunkcrawl scale` to more shards, or more CPU", "warning")


async def event_log(installation: Installation) -> Iterator[Finding]:
    """Check that the archiver keeps up, and the recorder in it."""
    actors = (installation.status or {}).get("actors", {})
    archivers = [actor for name, actor in actors.items() if name.startswith("archiver") and "error" not in actor]
    if not archivers:
        raise Skipped("no archiver has said how it is")
    return iter([finding for actor in archivers for finding in judge_archiver(actor)])


def judge_archiver(actor: dict[str, Any]) -> Iterator[Finding]:
    """Judge how far the archiver is behind."""
    lag = actor.get("archive_lag_s") or 0.0
    if lag > ARCHIVE_LAG_MOST_S:
        waiting = actor.get("archive_waiting", "?")
        reason = f"the event log is {lag:.0f} s behind, {waiting} facts wait; beyond 200000 the oldest are lost"
        yield Finding(reason, "see the check of PostgreSQL, and archiver-0.log")
    if actor.get("archive_lost"):
        reason = f"{actor['archive_lost']} facts never reached the event log"
        yield Finding(reason, "PostgreSQL was away for too long; nothing brings them back", "warning")
    if (lag := actor.get("recording_lag_s") or 0.0) > RECORDING_LAG_MOST_S:
        trouble = actor.get("recording_trouble") or "slow"
        reason = f"recordings are {lag:.0f} s behind ({trouble}); beyond 100000 entries the oldest are lost"
        yield Finding(reason, "free disk space, or see archiver-0.log")
    if actor.get("recording_missing"):
        reason = f"{actor['recording_missing']} entries never reached a recording"
        yield Finding(reason, "the recorder was away for too long; nothing brings them back", "warning")


async def backups(installation: Installation) -> Iterator[Finding]:
    """Check that there is a backup, and a recent one."""
    if installation.redis_info is None:
        raise Skipped("Redis does not answer")
    client = connect(installation.settings.redis_url)
    try:
        age_s = await read_age(client)
    except (RedisError, OSError, TimeoutError) as error:
        raise Skipped(f"Redis stopped answering ({type(error).__name__})") from None
    finally:
        await client.aclose()
    return iter(judge_backup(age_s, installation.backup_most_h))


def judge_backup(age_s: float | None, most_h: float) -> Iterator[Finding]:
    """Judge the age of the last backup."""
    remedy = "run `chunkcrawl backup DIR` once a day, onto another machine's disk"
    if age_s is None:
        yield Finding("no backup is known", remedy, "warning")
    elif age_s > most_h * 3600:
        yield Finding(f"the last backup is {age_s / 3600:.0f} hours old", remedy, "warning")
