"""Session rows on their way to PostgreSQL: gathered, and written a moment later.

A session lives in Redis, so opening one need not wait for a row that only tells its history.  What a killed process
had not written yet (a tenth of a second of rows) is missing from that history and from nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from store.sessions import SessionRecord, put_many

log = structlog.get_logger(__name__)

GATHER_S: Final = 0.1
RETRY_S: Final = 1.0
MAX_WAITING: Final = 20_000
MAX_ROWS: Final = 500


class SessionLog:
    """A bounded buffer with one writer.  ``put`` never waits; ``start`` and ``close`` frame its life.

    Args:
        engine: the database.
        dropped: called with the number of rows that had to be given up (buffer full, or refused by the database).
    """

    def __init__(self, engine: AsyncEngine, dropped: Callable[[int], object] = lambda count: None) -> None:
        self._engine = engine
        self._dropped = dropped
        self._waiting: dict[str, SessionRecord] = {}
        self._arrived = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_on(), name="session-log")

    def put(self, record: SessionRecord) -> None:
        """Queue a session's present state to be written soon."""
        known = self._waiting.pop(record.jti, None)
        if known is not None:
            record = replace(
                record,
                expires_at=max(known.expires_at, record.expires_at),
                revoked_at=known.revoked_at or record.revoked_at,
            )
        elif len(self._waiting) >= MAX_WAITING:
            self._dropped(1)
            return
        self._waiting[record.jti] = record
        self._arrived.set()

    async def flush(self) -> None:
        """Write all that waits.  Raises what the database raises; then nothing is lost."""
        while self._waiting:
            jtis = list(self._waiting)[:MAX_ROWS]
            batch = [self._waiting.pop(jti) for jti in jtis]
            try:
                await self._write(batch)
            except (SQLAlchemyError, OSError, TimeoutError):
                self._restore(batch)
                raise

    async def close(self, timeout_s: float = 2.0) -> None:
        """Stop, writing what waits if the database lets us."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        try:
            await asyncio.wait_for(self.flush(), timeout_s)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("session_rows_lost", count=len(self._waiting), error=type(error).__name__)
            self._dropped(len(self._waiting))

    async def _write_on(self) -> None:
        while True:
            await self._arrived.wait()
            await asyncio.sleep(GATHER_S)
            self._arrived.clear()
            try:
                await self.flush()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("session_rows_wait", count=len(self._waiting), error=type(error).__name__)
                self._arrived.set()
                await asyncio.sleep(RETRY_S)

    async def _write(self, batch: list[SessionRecord]) -> None:
        try:
            await put_many(self._engine, batch)
        except IntegrityError:
            # One row whose account or key is gone must not hold up the others.
            if len(batch) == 1:
                self._dropped(1)
                return
            for record in batch:
                await self._write([record])

    def _restore(self, batch: list[SessionRecord]) -> None:
        newer = self._waiting
        self._waiting = {record.jti: record for record in batch}
        for record in newer.values():
            self.put(record)
