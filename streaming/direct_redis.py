"""A connection to Redis for one who sends much: a command costs a write and an answer, and nothing in between.

redis-py connects (password, database, TLS, names of the world), then its transport is given to a protocol of ours that
reads answers with hiredis.  A command over redis-py's client takes a loan from the pool, a retry policy, metrics of its
own, two timeouts and a stream reader: three to five times the CPU of the same command here.  It is worth it where the
cost counts; everything else goes over ``streaming.connect`` as it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from streaming.lua import Word

__all__ = ["DirectRedis"]

LOST: Final = "Connection to Redis lost"


class DirectRedis:
    """A client with one connection, made when it is needed and again after it was lost.

    Never repeats a command by itself.  Commands are answered in the order in which they are sent; how many wait is the
    callers' affair.

    Args:
        redis: a client of ``streaming.connect``, whose server, world and timeout are this one's too.
    """

    def __init__(self, redis: Redis) -> None:
        self._pool = redis.connection_pool
        self._timeout_s: float | None = self._pool.connection_kwargs.get("socket_timeout")
        self._connecting = asyncio.Lock()
        self._answers: _Answers | None = None

    async def execute_command(self, *words: Word) -> Any:
        """Send one command and return its answer.  Cancelled, it may have run; the answer is then dropped.

        Raises:
            RedisError: as redis-py raises it: an error answer, no connection, or no answer in time.
        """
        (answer,) = await self.execute_all((words,))
        if isinstance(answer, RedisError):
            raise answer
        return answer

    async def execute_all(self, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
        """Send commands together and return their answers, which may be error answers.  Cancelled, they may have run.

        Raises:
            RedisError: no connection, it was lost, or not all of the answers came in time.
        """
        answers = self._answers
        if answers is None or answers.lost:
            answers = await self._connected()
        return await answers.ask(commands, self._timeout_s)

    async def aclose(self) -> None:
        """End the connection; commands that wait fail."""
        if self._answers is not None:
            self._answers.lose()

    async def _connected(self) -> _Answers:
        async with self._connecting:
            if self._answers is None or self._answers.lost:
                settings = {**self._pool.connection_kwargs, "protocol": 2}
                connection: AbstractConnection = self._pool.connection_class(**settings)
                await connection.connect()  # type: ignore[no-untyped-call]
                self._answers = _Answers(connection)
            return self._answers


class _Asked:
    """Commands that were sent together, and what has been answered to them so far."""

    __slots__ = ("answers", "count", "future")

    def __init__(self, count: int, future: asyncio.Future[list[Any]]) -> None:
        self.count = count
        self.future = future
        self.answers: list[Any] = []


class _Answers(asyncio.Protocol):
    """The reading end of a connection: gives each answer to whoever asked first of those who wait."""

    def __init__(self, connection: AbstractConnection) -> None:
        # Kept: the stream writer in it closes the transport when it is thrown away.
        self._connection = connection
        parser: Any = connection._parser
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=parser.parse_error)
        self._waiting: deque[_Asked] = deque()
        self.lost = False
        self._transport = cast("asyncio.Transport", cast("Any", connection)._writer.transport)
        self._transport.set_protocol(self)
        if self._transport.is_closing():
            self.lose()

    async def ask(self, commands: Sequence[tuple[Word, ...]], timeout_s: float | None) -> list[Any]:
        """Send commands, at least one; return their answers, error answers too."""
        loop = asyncio.get_running_loop()
        asked = _Asked(len(commands), loop.create_future())
        self._waiting.append(asked)
        pack = self._connection.pack_command
        self._transport.write(b"".join([piece for words in commands for piece in pack(*words)]))
        timer = None if timeout_s is None else loop.call_later(timeout_s, self._late, asked.future)
        try:
            return await asked.future
        finally:
            if timer is not None:
                timer.cancel()

    def lose(self, error: RedisError | None = None) -> None:
        """End the connection, which is of no more use; who waits for an answer gets ``error``."""
        self.lost = True
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for asked in waiting:
            if not asked.future.done():
                asked.future.set_exception(error or RedisConnectionError(LOST))

    def _late(self, future: asyncio.Future[list[Any]]) -> None:
        if not future.done():
            self.lose(RedisTimeoutError("Timeout waiting for an answer"))

    # -- asyncio.Protocol --

    def data_received(self, data: bytes) -> None:
        """Give out the answers that are whole."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                asked = self._waiting[0]
                asked.answers.append(answer)
                if len(asked.answers) == asked.count:
                    self._waiting.popleft()
                    if not asked.future.done():
                        asked.future.set_result(asked.answers)
        except (InvalidResponse, IndexError) as error:
            self.lose(RedisConnectionError(f"Not an answer: {error!r}"))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell those who wait."""
        self.lose(None if error is None else RedisConnectionError(f"{LOST}: {error}"))
