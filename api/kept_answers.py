"""Answers that are the same for everybody, kept for a moment: any number of pages that watch cost one read."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

__all__ = ["KeptAnswers"]

KEPT_MAX: Final = 256


class KeptAnswers:
    """The bytes of answers by what was asked; of those kept longest the first goes when there are too many.

    Args:
        ttl_s: How long an answer is given again.
        most: How many are kept.
        clock: Seconds that only rise.
    """

    def __init__(self, ttl_s: float, most: int = KEPT_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._most = most
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, bytes]] = OrderedDict()
        self._reading: dict[Hashable, asyncio.Task[bytes]] = {}

    async def get(self, asked: Hashable, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return what is kept, else what ``read`` gives; many who ask for the same at once cost one ``read``.

        Raises whatever ``read`` raises, which is not kept.
        """
        fresh_until, answer = self._kept.get(asked, (float("-inf"), b""))
        if self._clock() < fresh_until:
            return answer
        if asked not in self._reading:
            self._reading[asked] = asyncio.create_task(self._read(asked, read), name="kept-answer")
        # Whoever goes away leaves the reading to the others.
        return await asyncio.shield(self._reading[asked])

    async def _read(self, asked: Hashable, read: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            answer = await read()
        finally:
            del self._reading[asked]
        self._kept[asked] = (self._clock() + self._ttl_s, answer)
        self._kept.move_to_end(asked)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return answer
