"""Readiness of this gateway: database, Redis and the world are asked, each with a time limit of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.ports import World

log = structlog.get_logger(__name__)

ASK_TIMEOUT_S: Final = 0.8
#: How long an answer is given again: anyone may ask as often as they like, the dependencies are asked this seldom.
CACHE_S: Final = 0.5


class Readiness:
    """Asks the dependencies, all at once, and remembers the answer for a moment."""

    def __init__(self, engine: AsyncEngine, redis: Redis, world: World, *, timeout_s: float = ASK_TIMEOUT_S) -> None:
        self._engine = engine
        self._redis = redis
        self._world = world
        self._timeout_s = timeout_s
        self._asked_at = -CACHE_S
        self._answer: list[str] = []
        self._asking: asyncio.Task[list[str]] | None = None

    async def problems(self) -> list[str]:
        """Return reasons not to be ready, in a fixed order; empty when ready.  Answers within the time limit."""
        if time.monotonic() - self._asked_at < CACHE_S:
            return self._answer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="readiness")
        # Shielded: whoever gives up waiting must not take the answer from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> list[str]:
        found = await asyncio.gather(
            self._limited("database", self._ask_database),
            self._limited("redis", self._ask_redis),
            self._limited("world", self._world.problems),
        )
        self._answer = [problem for problems in found for problem in problems]
        self._asked_at = time.monotonic()
        return self._answer

    async def _limited(self, name: str, ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await ask()
        except TimeoutError:
            return [f"{name}_timeout"]
        except Exception as error:  # whatever a driver raises, the answer is the same: not ready
            log.warning("readiness_failed", dependency=name, error=type(error).__name__)
            return [f"{name}_unavailable"]

    async def _ask_database(self) -> list[str]:
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return []

    async def _ask_redis(self) -> list[str]:
        try:
            await self._redis.ping()
        except RedisConnectionError:
            await self._redis.ping()  # the first may have got a pooled connection from before a restart
        return []
