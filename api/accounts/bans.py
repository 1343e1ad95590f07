"""Who is banned, as every gateway holds it: the bans of PostgreSQL in memory, read anew when they change.

PostgreSQL is the truth, so a ban holds over whatever happens to Redis, gateways and connections.  A gateway looks
every ``POLL_S`` whether anything has changed, and at once when it is told to (``ctl:operators``); while PostgreSQL is
away it goes by what it knows.  A new gateway lets nobody in before it has read them.  See docs/decisions/0082.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.errors import ApiError
from store import bans
from store.bans import Ban
from streaming.cancellable import end
from streaming.shared_clock import utc_now

__all__ = ["BanList"]

log = structlog.get_logger(__name__)

POLL_S: Final = 2.0
#: How long somebody who comes in waits for the first reading.
FIRST_READING_S: Final = 3.0


class BanList:
    """The bans in force, from ``start`` to ``close``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._bans: dict[tuple[str, str], Ban] = {}
        self._state: tuple[int, int] | None = None
        self._reading = asyncio.Lock()
        self._look = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        #: Called after each change.
        self.on_change: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to follow the table; needs a running loop."""
        self._task = asyncio.create_task(self._follow(), name="bans")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            await end(self._task)

    def look_now(self) -> None:
        """Read the table anew as soon as may be: something has changed."""
        self._look.set()

    def __len__(self) -> int:
        return len(self._bans)

    def of(self, kind: str, subject: str | None) -> Ban | None:
        """Return the ban in force of an agent or an account; None: there is none."""
        ban = self._bans.get((kind, subject)) if subject else None
        return None if ban is None or (ban.until is not None and ban.until <= utc_now()) else ban

    def newest(self, most: int) -> list[Ban]:
        """Return the newest bans, the last one first."""
        return heapq.nlargest(most, self._bans.values(), key=lambda ban: (ban.at, ban.kind, ban.subject))

    def bars(self, account_id: str, agent_id: str | None) -> bool:
        """Return whether the account or the agent is banned."""
        if not self._bans:
            return False
        return self.of("account", account_id) is not None or self.of("agent", agent_id) is not None

    async def check(self, account_id: str, agent_id: str | None) -> None:
        """Raise ``ApiError``: ``banned``; or ``unavailable`` while the bans could never be read."""
        if self._state is None:
            try:
                async with asyncio.timeout(FIRST_READING_S):
                    await self.read()
            except (SQLAlchemyError, OSError, TimeoutError):
                raise ApiError("unavailable") from None
        if self.bars(account_id, agent_id):
            raise ApiError("banned")

    async def read(self) -> None:
        """Read the table if it has changed.  Raises what the database raises."""
        async with self._reading:  # an older reading that ends later would undo a newer one
            state = await bans.state(self._engine)
            if state == self._state:
                return
            found = await bans.in_force(self._engine)
            self._bans = {(ban.kind, ban.subject): ban for ban in found}
            self._state = state
        if self.on_change is not None:
            self.on_change()

    async def _follow(self) -> None:
        while True:
            self._look.clear()
            try:
                await self.read()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("bans_not_read", error=type(error).__name__)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._look.wait()
            except TimeoutError:
                pass
