"""Whether an epoch of a shard goes on, and whether it takes new work."""

from __future__ import annotations

import asyncio
import time

from cluster.peers import ShardUnavailable
from streaming.journal import Journal


class ShardEpoch:
    """One epoch of a shard, from its lease to its end.  Needs a running loop.

    Args:
        refuse_after_stall_s: How long the journal may stand still before new work is refused.
    """

    def __init__(self, shard: int, journal: Journal, *, refuse_after_stall_s: float) -> None:
        self._shard = shard
        self._journal = journal
        self._refuse_after_stall_s = refuse_after_stall_s
        #: The shard is asked to end; what is pending is still committed.
        self.stopping = False
        #: An operator has frozen the world: what is there stands still.
        self.frozen = False
        #: Done when the epoch has ended, with the error that ended it if there was one.
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def check_alive(self) -> None:
        """Raise ``ShardUnavailable`` when this epoch has ended."""
        if self.ended.done():
            raise ShardUnavailable(f"shard {self._shard} has ended")

    def check_open(self) -> None:
        """Raise ``ShardUnavailable`` also while world or journal stand still, so that new work doesn't pile up."""
        self.check_alive()
        if self.frozen:
            raise ShardUnavailable(f"shard {self._shard} stands still: an operator has frozen the world")
        since = self._journal.stalled_since
        if self.stopping or (since is not None and time.monotonic() - since > self._refuse_after_stall_s):
            raise ShardUnavailable(
                f"shard {self._shard} waits for Redis" if since else f"shard {self._shard} is stopping"
            )

    def end(self) -> None:
        """End this epoch in order."""
        if not self.ended.done():
            self.ended.set_result(None)

    def fail(self, error: BaseException) -> ShardUnavailable:
        """End this epoch with ``error``; returns what to raise to whoever waits."""
        if isinstance(error, asyncio.CancelledError):
            self.end()  # ``ShardRuntime.run`` has ended, or was cancelled itself
        elif not self.ended.done():
            self.ended.set_exception(error)
        return ShardUnavailable(f"shard {self._shard} has ended: {error}")
