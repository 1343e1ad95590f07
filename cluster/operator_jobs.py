"""Backups and checks that operators ask for over HTTP: each in a process of its own, with its progress in Redis.

    operator:jobs    list of the newest jobs, JSON, the newest first

A job is a child of the gateway that was asked (``python -m operations.job``), and lives on when that is killed.  It
writes how far it is, and in the end the outcome, into its entry and into its line of the audit log.  One at a time;
one from which nothing was heard for ``LOST_AFTER_MS`` is lost, and another may begin.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis

from api.operator.port import CantDo, JobKind
from config.settings import ENV_PREFIX, Settings
from streaming import keys
from streaming.lua import load, run
from streaming.shared_clock import now_ms

__all__ = ["LOST_AFTER_MS", "begin", "directory_of", "list_backups", "read_jobs", "write_job"]

log = structlog.get_logger(__name__)

KEPT_MOST: Final = 20
#: A job writes every second or so.
LOST_AFTER_MS: Final = 30_000
BACKUPS_SHOWN: Final = 200
MANIFEST: Final = "manifest.json"
MANIFEST_BYTES_MOST: Final = 1 << 20

BEGIN: Final = load("cluster/begin_job.lua")
WRITE: Final = load("cluster/write_job.lua")

_children: set[asyncio.Task[int]] = set()


def directory_of(settings: Settings) -> Path:
    """Return where backups go."""
    return Path(settings.backup_dir or Path(settings.data_dir) / "backups")


async def begin(
    redis: Redis, settings: Settings, kind: JobKind, name: str, *, by: str, audit_id: int
) -> dict[str, Any]:
    """Note a job and start its process; return the job.

    Raises:
        CantDo: another one runs, or the backup is there already, or is not.
    """
    path = directory_of(settings) / name
    if kind == "backup" and await asyncio.to_thread(path.exists):
        raise CantDo(f"there is a backup {name} already: choose another name")
    if kind == "verify" and not await asyncio.to_thread(path.is_dir):
        raise CantDo(f"there is no backup {name} on this machine", "backup_not_found")
    job = {
        "job_id": f"job_{secrets.token_hex(8)}",
        "kind": kind,
        "name": name,
        "state": "running",
        "step": "begin",
        "percent": 0,
        "text": "",
        "by": by,
        "at_ms": now_ms(),
        "ended_ms": None,
        "heard_ms": now_ms(),
        "audit_id": audit_id,
    }
    call = BEGIN(now=now_ms(), lost_ms=LOST_AFTER_MS, most=KEPT_MOST, job=orjson.dumps(job))
    if await run(redis, call) != b"ok":
        raise CantDo("another backup or check is running: wait for its end")
    try:
        await _start(settings, job)
    except OSError as error:
        await write_job(redis, job | {"state": "failed", "text": f"no process could be started: {error.strerror}"})
        raise CantDo(f"no process could be started: {error.strerror}") from None
    return _shown(job)


async def write_job(redis: Redis, job: Mapping[str, Any]) -> None:
    """Write how far a job is.  Raises ``RedisError``."""
    await run(redis, WRITE(id=job["job_id"], job=orjson.dumps(dict(job))))


async def read_jobs(redis: Redis) -> list[Mapping[str, Any]]:
    """Return the newest jobs, the newest first; one that is not heard of any more is ``lost``."""
    client: Any = redis
    found = [orjson.loads(one) for one in await client.lrange(keys.JOBS, 0, KEPT_MOST - 1)]
    return [_shown(job) for job in found]


def list_backups(settings: Settings) -> Sequence[Mapping[str, Any]]:
    """Return the backups that lie here whole, the newest first; what can't be read is left out.  Blocks."""
    found: list[dict[str, Any]] = []
    try:
        entries = [entry for entry in os.scandir(directory_of(settings)) if entry.is_dir()]
    except OSError:
        return []
    for entry in entries:
        path = Path(entry.path) / MANIFEST
        try:
            if path.stat().st_size > MANIFEST_BYTES_MOST:
                continue
            manifest = orjson.loads(path.read_bytes())
            at = datetime.fromisoformat(manifest["created_at"]).astimezone(UTC)
            found.append(
                {
                    "name": entry.name,
                    "at_ms": int(at.timestamp() * 1000),
                    "bytes": sum(file.stat().st_size for file in os.scandir(entry.path) if file.is_file()),
                    "tick": int(manifest["tick"]),
                    "chunks": int(manifest["counts"]["chunks"]),
                    "agents": int(manifest["counts"]["agents"]),
                }
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda one: (-one["at_ms"], one["name"]))[:BACKUPS_SHOWN]


async def _start(settings: Settings, job: Mapping[str, Any]) -> None:
    """Start the process.  What it works with goes through its environment: command lines can be read by everybody."""
    directory = directory_of(settings)
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    environment |= {
        f"{ENV_PREFIX}DATABASE_URL": settings.database_url,
        f"{ENV_PREFIX}REDIS_URL": settings.redis_url,
        f"{ENV_PREFIX}BACKUP_DIR": str(directory),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "operations.job"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(orjson.dumps(dict(job)))
    process.stdin.close()
    waiting = asyncio.create_task(process.wait(), name="operator-job")  # or it would stay as a zombie
    _children.add(waiting)
    waiting.add_done_callback(_children.discard)
    log.info("operator_job_started", job_id=job["job_id"], kind=job["kind"], pid=process.pid)


def _shown(job: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in job.items() if name not in ("heard_ms", "audit_id")}
    if job["state"] == "running" and now_ms() - job["heard_ms"] > LOST_AFTER_MS:
        shown |= {"state": "lost", "text": "nothing was heard of it any more; begin it again"}
    return shown
