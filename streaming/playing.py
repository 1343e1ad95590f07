"""What playing the past of a chunk and that of an agent have in common: waiting until something is due, and asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeVar

from config.errors import ServerError
from streaming.entry import SharedEvent
from streaming.subscriber_queue import SubscriberQueue

#: Deltas of a page: what a reader holds in memory.
PAGE_DELTAS: Final = 100
#: A page is read so long before it is due.
READ_AHEAD_S: Final = 1.0
TRIES: Final = 10
TRY_AGAIN_S: Final = 1.0

_Answer = TypeVar("_Answer")


class CountsPlaying(Protocol):
    """Who bounds how many play."""

    def playing(self) -> AbstractContextManager[bool]:
        """Count a stream that plays for the block; False: too many do already."""
        ...


async def until_due(
    queue: SubscriberQueue, wait_s: Callable[[], float], heartbeat: Callable[[], SharedEvent]
) -> AsyncGenerator[list[SharedEvent], None]:
    """Wait until ``wait_s`` gives 0 or less; yield what is to be sent meanwhile.  Use ``contextlib.aclosing``.

    Raises:
        Closed: somebody closed the queue.
    """
    while (rest_s := wait_s()) > 0:
        try:
            async with asyncio.timeout(rest_s):
                items = await queue.take()
        except TimeoutError:
            return
        said = [one for one in items or () if isinstance(one, SharedEvent) and not one.key]
        if queue.heartbeat_due:
            queue.heartbeat_due = False
            said.append(heartbeat())
        if said:
            yield said
    if queue.closed is not None:
        raise queue.closed


async def asked_again(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Return the answer, also if too many ask just now.  Raises ``TimeoutError``: again and again there was none."""
    for _ in range(TRIES):
        try:
            return await ask()
        except ServerError:  # too many look back, or the place is away
            await asyncio.sleep(TRY_AGAIN_S)
    raise TimeoutError("the past is away")
