"""Where generators and driver meet: samples go one way, orders the other.

A plain class, of which ``ray_generators`` makes an actor.  Everything but ``take`` is called by generators; each calls
``report`` once a second and does what it gets back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from loadtest.measures import Sample

__all__ = ["Mailbox", "MailboxApi", "Orders"]

#: Kept for a driver that does not come; the oldest go first.
SAMPLES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Orders:
    """What the generators are to do.  Seconds count from when all began together, see ``Sample.second``."""

    #: The first second that counts, None while agents still join.
    measure_from: int | None = None
    #: From this second on no new commands.
    stop_at: int | None = None
    #: Close all connections and end.
    leave: bool = False

    def counts(self, second: int) -> bool:
        """Return whether this second is measured."""
        if self.measure_from is None or second < self.measure_from:
            return False
        return self.stop_at is None or second < self.stop_at


class MailboxApi(Protocol):
    """The generators' side of a mailbox, wherever it is."""

    async def begin(self, task: int) -> None:
        """Wait until all generators are here."""
        ...

    async def report(self, sample: Sample) -> Orders:
        """Hand in a sample; return the present orders."""
        ...


class Mailbox:
    """For ``tasks`` generators."""

    def __init__(self, tasks: int) -> None:
        self._tasks = tasks
        self._here: set[int] = set()
        self._all_here = asyncio.Event()
        self._samples: list[Sample] = []
        self._orders = Orders()

    async def begin(self, task: int) -> None:
        """See ``MailboxApi``."""
        self._here.add(task)
        if len(self._here) >= self._tasks:
            self._all_here.set()
        await self._all_here.wait()

    async def report(self, sample: Sample) -> Orders:
        """See ``MailboxApi``."""
        self._samples.append(sample)
        del self._samples[:-SAMPLES_MAX]
        return self._orders

    # -- for the driver --

    async def here(self) -> int:
        """Return how many generators have called ``begin``."""
        return len(self._here)

    async def take(self) -> list[Sample]:
        """Return the samples since the last call."""
        samples, self._samples = self._samples, []
        return samples

    async def order(self, orders: Orders) -> None:
        """Set the orders from now on."""
        self._orders = orders
