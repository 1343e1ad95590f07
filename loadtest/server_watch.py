"""Looks at the server's metrics page every two seconds while a run goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from loadtest.server_page import MetricsPages, NoPage, ServerPage
from loadtest.server_reading import Reading, reading_of, thinned

__all__ = ["ServerWatch"]

#: Longer than the server gives the same page again.
EVERY_S: Final = 2.0
#: A server whose page could not be read so often, from the first time on, is asked no more.
GIVE_UP_AFTER: Final = 3


class ServerWatch:
    """The readings of one run.

    Args:
        pages: Where the page comes from.
        second: Gives the second of the run that it is now, None before the run has one.
    """

    def __init__(self, pages: MetricsPages, second: Callable[[], float | None]) -> None:
        self._pages, self._second = pages, second
        self.readings: list[Reading] = []
        #: The first and the newest page that could be read.
        self.first: ServerPage | None = None
        self.newest: ServerPage | None = None
        #: Why the newest try has failed; empty if it has not.
        self.trouble = ""
        self._failed = 0
        self._task: asyncio.Task[None] | None = None

    async def look(self) -> ServerPage | None:
        """Read the page once; None, and ``trouble`` says why, if it can't be read."""
        try:
            page = await self._pages.read()
        except NoPage as error:
            self.trouble = str(error)
            self._failed += 1
            return None
        self.trouble, self._failed = "", 0
        self.first = self.first or page
        self.newest = page
        second = self._second()
        if second is not None:
            self.readings = thinned([*self.readings, reading_of(page, second, time.monotonic())])
        return page

    def start(self) -> None:
        """Begin to look every ``EVERY_S``."""
        self._task = asyncio.get_running_loop().create_task(self._on(), name="server-watch")

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _on(self) -> None:
        while self.first is not None or self._failed < GIVE_UP_AFTER:
            await asyncio.sleep(EVERY_S)
            await self.look()
