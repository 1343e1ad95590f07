"""The days of the event log: a partition for each, made ahead and dropped when it is too old.

A day is one in UTC.  Whatever finds no partition of its day lies in the default one, and is moved when the day's is
made, so that nothing ever fails for want of a partition.  Any number of processes may do this at once.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

#: Taken by whoever changes the partitions; any fixed number would do.
LOCK_KEY: Final = 0x6576656E74
#: How long attaching and dropping wait for readers, and hold up others behind them.
LOCK_TIMEOUT: Final = "3s"

_NAME: Final = re.compile(r"event_logs_(\d{4})(\d{2})(\d{2})", re.ASCII)


def partition_name(day: date) -> str:
    """Return the name of a day's partition."""
    return f"event_logs_{day:%Y%m%d}"


def day_of(name: str) -> date | None:
    """Return the day of a partition; None for the default one."""
    match = _NAME.fullmatch(name)
    return date(int(match[1]), int(match[2]), int(match[3])) if match else None


async def days(engine: AsyncEngine) -> list[date]:
    """Return the days that have a partition, oldest first."""
    async with engine.connect() as connection:
        return await _days(connection)


async def make(engine: AsyncEngine, first: date, last: date) -> list[date]:
    """Make the partitions of ``first`` .. ``last`` that are missing; returns their days."""
    made = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        async with engine.begin() as connection:
            await _lock(connection)
            if day not in await _days(connection):
                await _make(connection, day)
                made.append(day)
    return made


async def drop(engine: AsyncEngine, before: date) -> list[date]:
    """Drop every day before ``before``, and what the default partition holds of that time; returns the days."""
    dropped = []
    for day in await days(engine):
        if day < before:
            async with engine.begin() as connection:
                await _lock(connection)
                await connection.execute(text(f"DROP TABLE IF EXISTS {partition_name(day)}"))
            dropped.append(day)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM event_logs_default WHERE at < :start"), {"start": _start(before)})
    return dropped


async def _days(connection: AsyncConnection) -> list[date]:
    names = await connection.scalars(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = CAST('event_logs' AS regclass)"
        )
    )
    return sorted(day for name in names if (day := day_of(name)) is not None)


async def _lock(connection: AsyncConnection) -> None:
    await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})


async def _make(connection: AsyncConnection, day: date) -> None:
    name, start, end = partition_name(day), _start(day), _start(day + timedelta(days=1))
    # Attaching takes this lock in any case.  Taken before rows are moved, so that none of the day comes in behind them.
    await connection.execute(text("LOCK TABLE event_logs_default IN ACCESS EXCLUSIVE MODE"))
    await connection.execute(text(f"CREATE TABLE {name} (LIKE event_logs INCLUDING ALL)"))
    await connection.execute(
        text(
            "WITH moved AS (DELETE FROM event_logs_default WHERE at >= :start AND at < :end RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved"
        ),
        {"start": start, "end": end},
    )
    bounds = f"FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
    await connection.execute(text(f"ALTER TABLE event_logs ATTACH PARTITION {name} {bounds}".replace(":", "\\:")))


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
