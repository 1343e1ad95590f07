"""What a gateway does once a minute: forget expired sessions and old thoughts, make sure that revoked keys stay dead.

Every gateway does it; doing it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.accounts.sessions import SessionStore
from config.settings import default
from store import api_keys, thoughts
from store import sessions as session_rows

log = structlog.get_logger(__name__)

EVERY_S: Final = 61.0
#: Rows of expired sessions stay this long, for whoever asks what happened.
KEEP_EXPIRED: Final = timedelta(days=1)
#: How long a revocation whose Redis half failed is done again: the life of the longest session before it.
REVOKED_AGAIN: Final = timedelta(hours=1)
DELETE_BATCH: Final = 5000


class GatewayTasks:
    """What a gateway does once a minute, from ``start`` to ``close``."""

    def __init__(
        self,
        engine: AsyncEngine,
        sessions: SessionStore,
        *,
        thoughts_keep_days: int = default("event_log_keep_days"),
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._thoughts_keep = timedelta(days=thoughts_keep_days)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._task = asyncio.create_task(self._go_on(), name="background")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def delete_expired_sessions(self) -> int:
        """Delete rows of sessions that expired more than ``KEEP_EXPIRED`` ago; returns how many."""
        deleted = 0
        before = datetime.now(UTC) - KEEP_EXPIRED
        while (count := await session_rows.delete_expired(self._engine, before, limit=DELETE_BATCH)) > 0:
            deleted += count
        return deleted

    async def delete_old_thoughts(self) -> int:
        """Delete what agents thought longer ago than it is kept; returns how many, and leaves what is too much."""
        return await thoughts.delete_before(self._engine, datetime.now(UTC) - self._thoughts_keep, limit=DELETE_BATCH)

    async def revoke_again(self) -> int:
        """End whatever sessions the keys revoked of late still have; return the number of keys."""
        key_ids = await api_keys.revoked_within(self._engine, REVOKED_AGAIN)
        for key_id in key_ids:
            await self._sessions.revoke_key(key_id)
        return len(key_ids)

    async def _go_on(self) -> None:
        while True:
            # Not all gateways in the same second.
            await asyncio.sleep(EVERY_S * random.uniform(0.8, 1.2))
            await self._try(self.delete_expired_sessions)
            await self._try(self.revoke_again)
            await self._try(self.delete_old_thoughts)

    async def _try(self, work: Callable[[], Awaitable[int]]) -> None:
        try:
            done = await work()
        except (SQLAlchemyError, RedisError, OSError, TimeoutError) as error:
            log.warning("background_task_failed", task=work.__name__, error=type(error).__name__)
        else:
            log.debug("background_task_done", task=work.__name__, count=done)
