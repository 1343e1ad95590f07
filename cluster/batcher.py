"""Commands on their way to shards: one batch at a time per shard, growing by itself with the load.

A Ray call costs about a millisecond whatever it carries, and calls of one caller may overtake each other.  So each
shard has one call under way; what arrives meanwhile goes in the next one, in order.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from cluster.messages import ShardCommand, ShardDecision
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded

log = structlog.get_logger(__name__)

BATCH_MOST: Final = 256
WAITING_MOST: Final = 5_000
CALL_TIMEOUT_S: Final = 2.0


class CommandBatcher:
    """A queue and a sender per shard.  At ``WAITING_MOST`` waiting commands of a shard, more are refused."""

    def __init__(self, peers: ShardClient) -> None:
        self._peers = peers
        self._waiting: dict[int, list[tuple[ShardCommand, asyncio.Future[ShardDecision]]]] = {}
        self._senders: dict[int, asyncio.Task[None]] = {}

    async def send(self, shard: int, command: ShardCommand) -> ShardDecision:
        """Have ``command`` decided by ``shard``.

        Raises:
            ShardUnavailable: no answer, or the queue is full; it may be sent again.
            WorldReloaded: it had no effect; send it again.
        """
        queue = self._waiting.setdefault(shard, [])
        if len(queue) >= WAITING_MOST:
            raise ShardUnavailable(f"more than {WAITING_MOST} commands wait for shard {shard}")
        future: asyncio.Future[ShardDecision] = asyncio.get_running_loop().create_future()
        queue.append((command, future))
        sender = self._senders.get(shard)
        if sender is None or sender.done():
            self._senders[shard] = asyncio.create_task(self._drain(shard), name=f"batcher-{shard}")
        return await future

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
                log.error("submit_failed", shard=shard, error=repr(error), exc_info=True)
                _fail(batch, ShardUnavailable(f"shard {shard}: {error!r}"))

    async def _send(self, shard: int, batch: list[tuple[ShardCommand, asyncio.Future[ShardDecision]]]) -> None:
        commands = [command for command, _ in batch]
        decisions = await self._peers.shard(shard, timeout_s=CALL_TIMEOUT_S).submit(commands)
        for (_, future), decision in zip(batch, decisions, strict=True):
            if not future.done():
                future.set_result(decision)


def _fail(batch: list[tuple[ShardCommand, asyncio.Future[ShardDecision]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
