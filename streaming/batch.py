"""Redis work of many connections, gathered into one pipeline in each turn of the event loop.

One round trip costs about as much for twenty commands as for one, so a gateway sends what all its sockets
asked for in the same turn of the event loop together.  One pipeline is under way at a time; what arrives
meanwhile forms the next one, so batches grow with the load by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from config.errors import TryAgain
from streaming.direct_redis import DirectRedis
from streaming.lua import Call, Script, Word, run_all

MAX_PENDING: Final = 20_000
MAX_PIPELINE: Final = 256


_Pending = tuple[Call | tuple[Word, ...], asyncio.Future[Any]]


class RedisOverloaded(TryAgain, RedisError):
    """More than ``MAX_PENDING`` commands wait for Redis; the caller should refuse its work as retryable."""

    reason = "redis_overloaded"


class RedisBatch:
    """Runs commands and scripts in shared pipelines.

    A command is sent at most once: on a lost connection each waiting call gets the error, and the caller
    decides whether it may be repeated.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = DirectRedis(redis)
        self._pending: list[_Pending] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """Return how many commands wait to be sent."""
        return len(self._pending)

    async def run(self, call: Call) -> Any:
        """Run a script; it is made known to the server when missing there.

        Raises:
            RedisOverloaded: the queue is full; nothing was sent.
            RedisError: as redis-py raises it; the script may or may not have run.
        """
        return await self._enqueue(call)

    async def eval(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> Any:
        """Run a script whose arguments have no names."""
        return await self._enqueue(Call(script, tuple(keys), tuple(args)))

    async def command(self, *words: Word) -> Any:
        """Run one plain command; return its answer as Redis gives it (bytes, ints, lists).  Raises as ``run``."""
        return await self._enqueue(words)

    async def close(self) -> None:
        """Fail what still waits and stop."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail(self._pending, RedisError("closed"))
        self._pending = []
        await self._redis.aclose()

    def _enqueue(self, command: Call | tuple[Word, ...]) -> asyncio.Future[Any]:
        if self._closed or len(self._pending) >= MAX_PENDING:
            raise RedisOverloaded("closed" if self._closed else "too many commands wait for Redis")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append((command, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="redis-batch")
        return future

    async def _run(self) -> None:
        while self._pending:
            batch, self._pending = self._pending[:MAX_PIPELINE], self._pending[MAX_PIPELINE:]
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                self._fail(batch, RedisError("closed"))
                raise
            except Exception as error:  # whatever it was, every waiting call must hear of it
                self._fail(batch, error)

    async def _send(self, batch: list[_Pending]) -> None:
        answers = await run_all(self._redis, [command for command, _ in batch])
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    @staticmethod
    def _fail(batch: list[_Pending], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
