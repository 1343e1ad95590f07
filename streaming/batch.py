"""Redis work of many connections, gathered into one pipeline per loop turn.

One round trip costs about as much for twenty commands as for one, so a gateway sends what all its sockets
asked for in the same turn of the event loop together.  One pipeline is under way at a time; what arrives
meanwhile forms the next one, so batches grow with the load by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from streaming.lua import Script

Arg = str | bytes | int | float

MAX_PENDING = 20_000
MAX_PIPELINE = 256


class RedisOverloaded(RedisError):
    """More than ``MAX_PENDING`` commands wait for Redis; the caller should refuse its work as retryable."""


class RedisBatch:
    """Runs commands and scripts in shared pipelines.

    A command is sent at most once: on a lost connection each waiting call gets the error, and the caller
    decides whether it may be repeated.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pending: list[tuple[tuple[Any, ...], Script | None, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def eval(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run ``script``; it is loaded on the server when missing there.

        Raises:
            RedisOverloaded: the queue is full; nothing was sent.
            RedisError: as redis-py raises it; the script may or may not have run.
        """
        return await self._enqueue(("EVALSHA", script.sha, len(keys), *keys, *args), script)

    async def command(self, *words: Arg) -> Any:
        """Run one plain command, its answer as Redis gives it (bytes, ints, lists).  Raises as ``eval``."""
        return await self._enqueue(words, None)

    async def close(self) -> None:
        """Fail what still waits and stop."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail(self._pending, RedisError("closed"))
        self._pending = []

    def _enqueue(self, words: tuple[Any, ...], script: Script | None) -> asyncio.Future[Any]:
        if self._closed or len(self._pending) >= MAX_PENDING:
            raise RedisOverloaded("closed" if self._closed else "too many commands wait for Redis")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append((words, script, future))
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

    async def _send(self, batch: list[tuple[tuple[Any, ...], Script | None, asyncio.Future[Any]]]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for words, _, _ in batch:
            pipe.execute_command(*words)
        answers = await pipe.execute(raise_on_error=False)
        for (words, script, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, NoScriptError) and script is not None:
                # A refused EVALSHA has run nothing, so it may be sent again once the script is loaded.
                await self._redis.script_load(script.source)
                answer = await self._retry(words)
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _retry(self, words: tuple[Any, ...]) -> Any:
        try:
            return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except RedisError as error:
            return error

    @staticmethod
    def _fail(batch: list[tuple[tuple[Any, ...], Script | None, asyncio.Future[Any]]], error: Exception) -> None:
        for _, _, future in batch:
            if not future.done():
                future.set_exception(error)
