"""``python -m operations.job``: one backup or check that an operator asked for over HTTP, as a process of its own.

The job (``cluster.operator_jobs``) comes through standard input, the servers through the environment.  Its outcome goes
into its entry in Redis and into its line of the audit log; killed, it leaves nothing that bears the backup's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from cluster.operator_jobs import write_job
from config.secret_forms import hide_secrets_in
from config.settings import Settings, load_settings
from operations.backup import make_backup, verify_backup
from operations.backup_files import BackupError
from operations.fsck import Dump, Problem, agents_here, agents_in_world, check, read_dump
from operations.printable import printable
from operations.rebuild import LOAD_TIMEOUT_S
from store import audit
from store.pg_session import patient_engine
from streaming.cancellable import end
from streaming.connect import connect
from streaming.shared_clock import now_ms

BEAT_S: Final = 1.0
JOB_BYTES_MOST: Final = 65_536
FINDINGS_NAMED: Final = 3
#: How many of them are in a job's report, and how long a word of it may be: it is one value in Redis.
FINDINGS_REPORTED: Final = 20
CHARS_REPORTED: Final = 300
TROUBLE: Final = (BackupError, RedisError, SQLAlchemyError, OSError)


class JobRun:
    """One job: ``run`` it to its end."""

    def __init__(self, settings: Settings, job: dict[str, Any]) -> None:
        self._settings = settings
        self._job = job
        self._redis: Redis = connect(settings.redis_url, socket_timeout_s=LOAD_TIMEOUT_S)

    async def run(self) -> None:
        """Do the work and write the outcome.  Raises nothing that can be said in the outcome."""
        beating = asyncio.create_task(self._beat(), name="beat")
        try:
            state, text = "done", await self._work()
        except TROUBLE as error:
            said = hide_secrets_in(printable(" ".join(str(error).split())))
            state, text = "failed", said or type(error).__name__
        except Exception as error:  # a world that is broken in a way that nobody thought of, or a fault of ours
            state, text = "failed", f"it broke off ({type(error).__name__}): run it on the server's machine to see why"
        finally:
            await end(beating)
        self._job |= {"state": state, "text": text[:1000], "ended_ms": now_ms()}
        if state == "done":
            self._job |= {"step": "done", "percent": 100}
        await self._write()
        await self._end_line(state, text)
        await self._redis.aclose()

    async def _work(self) -> str:
        path = Path(self._settings.backup_dir) / self._job["name"]
        if self._job["kind"] == "backup":
            made = await make_backup(self._redis, self._settings.database_url, path, tell=self._tell)
            counts = made.manifest.counts
            return f"{counts['chunks']} chunks and {counts['agents']} agents, {made.bytes} bytes"
        if self._job["kind"] == "verify":
            self._tell("rows", 10)
            verified = await verify_backup(path)
            return f"whole and nothing but data, as of {verified.manifest.created_at}"
        self._tell("world", 10)
        dump = await read_dump(self._redis, await agents_in_world(self._redis))
        findings = check(dump)
        self._job["report"] = _report(dump, findings)
        if not findings:
            return f"whole: {len(dump.chunks)} chunks"
        named = "; ".join(f"{one.code} {one.subject}" for one in findings[:FINDINGS_NAMED])
        raise BackupError(f"{len(findings)} findings: {named}; see `chunkcrawl fsck`")

    def _tell(self, step: str, percent: int) -> None:
        self._job |= {"step": step, "percent": percent}

    async def _beat(self) -> None:
        while True:
            await self._write()
            await asyncio.sleep(BEAT_S)

    async def _write(self) -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await write_job(self._redis, self._job | {"heard_ms": now_ms()})

    async def _end_line(self, state: str, text: str) -> None:
        engine = patient_engine(self._settings.database_url)
        try:
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                outcome: audit.Outcome = "done" if state == "done" else "failed"
                await audit.end(engine, self._job["audit_id"], outcome, None if state == "done" else text[:1000])
        finally:
            await engine.dispose()


def _report(dump: Dump, findings: list[Problem]) -> dict[str, Any]:
    return {
        "chunks": len(dump.chunks),
        "agents": agents_here(dump),
        "findings_total": len(findings),
        "findings": [
            {name: printable(value)[:CHARS_REPORTED] for name, value in asdict(one).items()}
            for one in findings[:FINDINGS_REPORTED]
        ],
    }


def main() -> None:
    """Read the job and run it."""
    job = orjson.loads(sys.stdin.buffer.read(JOB_BYTES_MOST))
    asyncio.run(JobRun(load_settings(), job).run())


if __name__ == "__main__":
    main()
