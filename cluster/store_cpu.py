"""Processor time of Redis and PostgreSQL, as far as this machine or they themselves can tell."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.exposition import Family, family

ASK_TIMEOUT_S: Final = 0.5
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost", "")
#: What a process of PostgreSQL is called; a container's may have our server's number and be something else here.
POSTGRES_NAME: Final = "postgres"


class StoreCpu:
    """Both, asked when a page is made.  What can't be known is left out: a PostgreSQL on another machine."""

    def __init__(self, redis: Redis, engine: AsyncEngine) -> None:
        self._redis = redis
        self._engine = engine
        self._postmaster: psutil.Process | None = None

    async def families(self) -> list[Family]:
        """Return the family; never raises for a server that is away."""
        redis, postgresql = await asyncio.gather(self._of_redis(), self._of_postgresql())
        found = {"redis": redis, "postgresql": postgresql}
        samples = [({"server": name}, round(seconds, 3)) for name, seconds in found.items() if seconds is not None]
        # A gauge, for it begins again with its server's process and not with ours.
        help_ = "Processor time of a server since it was started."
        return [family("server_cpu_seconds", "gauge", help_, samples)]

    async def _of_redis(self) -> float | None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                info = await self._redis.info("cpu")
            return sum(float(info[f"used_cpu_{name}"]) for name in ("sys", "user", "sys_children", "user_children"))
        except (RedisError, OSError, TimeoutError, KeyError, ValueError):
            return None

    async def _of_postgresql(self) -> float | None:
        if (self._engine.url.host or "") not in LOOPBACK:
            return None
        with suppress(psutil.Error, SQLAlchemyError, OSError, TimeoutError):
            if self._postmaster is None or not self._postmaster.is_running():
                self._postmaster = await self._find_postmaster()
            if self._postmaster is not None:
                return await asyncio.to_thread(_cpu_of_tree, self._postmaster)
        return None

    async def _find_postmaster(self) -> psutil.Process | None:
        async with asyncio.timeout(ASK_TIMEOUT_S), self._engine.connect() as connection:
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        parent = psutil.Process(pid).parent()
        return parent if parent is not None and parent.name() == POSTGRES_NAME else None


def _cpu_of_tree(postmaster: psutil.Process) -> float:
    """Return what the server has used: itself, its processes, and those of its processes that have ended."""
    own = postmaster.cpu_times()
    seconds = own.user + own.system + own.children_user + own.children_system
    for pid in _children_of(postmaster):
        with suppress(psutil.NoSuchProcess):
            used = psutil.Process(pid).cpu_times()
            seconds += used.user + used.system
    return float(seconds)


def _children_of(process: psutil.Process) -> list[int]:
    try:
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    except OSError:
        # Not every kernel has the list; psutil looks at all processes there are, which takes milliseconds.
        return [child.pid for child in process.children()]
    return [int(pid) for pid in listed.split()]
