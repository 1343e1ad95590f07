"""Commands and joins on their way to shards: one batch at a time per shard, growing by itself with the load.

A Ray call costs about a millisecond whatever it carries, and calls of one caller may overtake each other.  So each
shard has one call under way; what arrives meanwhile goes in the next one, in order.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import structlog

from cluster.messages import JoinAnswer, JoinRequest, ShardCommand, ShardDecision
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded

M = TypeVar("M")
A = TypeVar("A")
Given = TypeVar("Given", contravariant=True)

log = structlog.get_logger(__name__)

BATCH_MOST: Final = 256
WAITING_MOST: Final = 5_000
COMMANDS_TIMEOUT_S: Final = 2.0
JOINS_TIMEOUT_S: Final = 3.0


class _Waiting(Protocol[Given]):
    """Whoever waits for an answer: a future, or ``_Told``."""

    def done(self) -> bool:
        """Return whether nobody waits any more."""
        ...

    def set_result(self, result: Given, /) -> None:
        """Give the answer."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """Say why there is none."""
        ...


class _Told(Generic[A]):
    """Tells a function what a future would tell a task, in the same turn of the loop."""

    __slots__ = ("_answered",)

    def __init__(self, answered: Callable[[A | None], None]) -> None:
        self._answered = answered

    def done(self) -> bool:
        """Return False: there is no giving up."""
        return False

    def set_result(self, result: A) -> None:
        """Tell it."""
        self._answered(result)

    def set_exception(self, _: BaseException) -> None:
        """Tell that there is none."""
        self._answered(None)


class Batcher(ABC, Generic[M, A]):
    """A queue and a sender per shard.  At ``WAITING_MOST`` waiting messages for a shard, more are refused."""

    def __init__(self, peers: ShardClient) -> None:
        self._peers = peers
        self._waiting: dict[int, list[tuple[M, _Waiting[A]]]] = {}
        self._senders: dict[int, asyncio.Task[None]] = {}

    @property
    def waiting(self) -> int:
        """How many messages wait for a call, of all shards together."""
        return sum(map(len, self._waiting.values()))

    @abstractmethod
    async def call(self, shard: int, messages: list[M]) -> list[A]:
        """Send a batch and return the answers, one for each message."""

    async def send(self, shard: int, message: M) -> A:
        """Have ``message`` answered by ``shard``.

        Raises:
            ShardUnavailable: no answer, or the queue is full; it may be sent again.
            WorldReloaded: it had no effect; send it again.
        """
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        if not self._put(shard, message, future):
            raise ShardUnavailable(f"more than {WAITING_MOST} messages wait for shard {shard}")
        return await future

    def post(self, shard: int, message: M, answered: Callable[[A | None], None]) -> bool:
        """Have ``message`` answered by ``shard`` without waiting for it; False: the queue is full.

        ``answered`` is told, once, and must not raise; None: no answer, or it had no effect; it may be sent again.
        """
        return self._put(shard, message, _Told(answered))

    def _put(self, shard: int, message: M, waiting: _Waiting[A]) -> bool:
        queue = self._waiting.setdefault(shard, [])
        if len(queue) >= WAITING_MOST:
            return False
        queue.append((message, waiting))
        sender = self._senders.get(shard)
        if sender is None or sender.done():
            self._senders[shard] = asyncio.create_task(self._drain(shard), name=f"batcher-{shard}")
        return True

    async def close(self) -> None:
        """End the senders; what waits fails as unavailable."""
        for sender in self._senders.values():
            sender.cancel()
        await asyncio.gather(*self._senders.values(), return_exceptions=True)
        for queue in self._waiting.values():
            _fail(queue, ShardUnavailable("the gateway is stopping"))
            queue.clear()

    async def _drain(self, shard: int) -> None:
        queue = self._waiting[shard]
        while queue:
            batch = queue[:BATCH_MOST]
            del queue[:BATCH_MOST]
            try:
                await self._send(shard, batch)
            except (ShardUnavailable, WorldReloaded) as error:
                _fail(batch, error)
            except asyncio.CancelledError:
                _fail(batch, ShardUnavailable(f"shard {shard}: the call was broken off"))
                raise
            except Exception as error:  # whatever it was, those behind it must not wait for ever
                log.error("batch_failed", shard=shard, error=repr(error), exc_info=True)
                _fail(batch, ShardUnavailable(f"shard {shard}: {error!r}"))

    async def _send(self, shard: int, batch: list[tuple[M, _Waiting[A]]]) -> None:
        answers = await self.call(shard, [message for message, _ in batch])
        for (_, waiting), answer in zip(batch, answers, strict=True):
            if not waiting.done():
                waiting.set_result(answer)


class CommandBatcher(Batcher[ShardCommand, ShardDecision]):
    """Commands, which are decided in their order."""

    async def call(self, shard: int, messages: list[ShardCommand]) -> list[ShardDecision]:
        """Submit them."""
        return await self._peers.shard(shard, timeout_s=COMMANDS_TIMEOUT_S).submit(messages)


class JoinBatcher(Batcher[JoinRequest, JoinAnswer]):
    """Joins."""

    async def call(self, shard: int, messages: list[JoinRequest]) -> list[JoinAnswer]:
        """Let them in."""
        return await self._peers.shard(shard, timeout_s=JOINS_TIMEOUT_S).join(messages)


def _fail(batch: list[tuple[M, _Waiting[A]]], error: Exception) -> None:
    for _, waiting in batch:
        if not waiting.done():
            waiting.set_exception(error)
