"""Bans in PostgreSQL, which is the truth about them: who may not come in, why, by whom, until when.

``changed`` rises with every change, in the order of the commits (one at a time, by a lock of the table's own), so
``state`` tells a gateway cheaply whether it has to read anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import ColumnElement, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config.errors import ServerError
from store.models import BanRow

BanKind = Literal["agent", "account"]

#: Bans in force at most: all gateways hold all of them.
BANS_MOST: Final = 100_000

_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtext('chunkcrawl.bans'))")


class BanLimitReached(ServerError):
    """There are as many bans as there may be."""

    reason = "ban_limit_reached"


@dataclass(frozen=True, slots=True)
class Ban:
    """``subject`` (an agent's or account's id) may not come in before ``until``; None: for good."""

    kind: str
    subject: str
    reason: str
    by: str
    at: datetime
    until: datetime | None


_BAN: Final = (BanRow.kind, BanRow.subject, BanRow.reason, BanRow.by, BanRow.at, BanRow.until)


async def ban(engine: AsyncEngine, kind: BanKind, subject: str, *, reason: str, by: str, minutes: float | None) -> Ban:
    """Ban from now on, whatever was before.

    Raises:
        BanLimitReached: there are ``BANS_MOST`` already.
    """
    until = None if minutes is None else func.now() + func.make_interval(0, 0, 0, 0, 0, 0, minutes * 60)
    async with engine.begin() as connection:
        await connection.execute(_LOCK)
        await connection.execute(delete(BanRow).where(BanRow.until <= func.now()))
        if (await connection.scalar(select(func.count()).select_from(BanRow)) or 0) >= BANS_MOST:
            raise BanLimitReached(subject)
        values = {"reason": reason, "by": by, "at": func.now(), "until": until, "changed": await _next(connection)}
        statement = insert(BanRow).values(kind=kind, subject=subject, **values)
        statement = statement.on_conflict_do_update(index_elements=[BanRow.kind, BanRow.subject], set_=values)
        return Ban(*(await connection.execute(statement.returning(*_BAN))).one())


async def unban(engine: AsyncEngine, kind: BanKind, subject: str) -> Ban | None:
    """End a ban; return what it was, None when there was none in force."""
    statement = delete(BanRow).where(BanRow.kind == kind, BanRow.subject == subject).returning(*_BAN)
    async with engine.begin() as connection:
        await connection.execute(_LOCK)
        row = (await connection.execute(statement)).one_or_none()
        now: datetime = (await connection.execute(select(func.now()))).scalar_one()
    return None if row is None or (row.until is not None and row.until <= now) else Ban(*row)


async def state(engine: AsyncEngine) -> tuple[int, int]:
    """Return two numbers, at least one of which differs after any change."""
    async with engine.connect() as connection:
        row = (await connection.execute(select(func.count(), func.coalesce(func.max(BanRow.changed), 0)))).one()
    return row[0], row[1]


async def in_force(engine: AsyncEngine) -> list[Ban]:
    """Return all bans in force."""
    async with engine.connect() as connection:
        return [Ban(*row) for row in await connection.execute(select(*_BAN).where(_in_force()).limit(BANS_MOST))]


async def newest(engine: AsyncEngine, *, offset: int = 0, limit: int) -> tuple[list[Ban], int]:
    """Return bans in force, newest first, and how many there are in all."""
    order = (BanRow.at.desc(), BanRow.kind, BanRow.subject)
    statement = select(*_BAN).where(_in_force()).order_by(*order).offset(offset).limit(limit)
    async with engine.connect() as connection:
        rows = [Ban(*row) for row in await connection.execute(statement)]
        total = await connection.scalar(select(func.count()).select_from(BanRow).where(_in_force()))
    return rows, total or 0


def _in_force() -> ColumnElement[bool]:
    return or_(BanRow.until.is_(None), BanRow.until > func.now())


async def _next(connection: AsyncConnection) -> int:
    """Return a number above all that the table had, also those of rows that are gone, as far as the clock is set."""
    found = await connection.scalar(
        select(
            func.greatest(
                func.coalesce(func.max(BanRow.changed), 0) + 1,
                func.floor(func.extract("epoch", func.clock_timestamp()) * 1_000_000),
            )
        )
    )
    return int(found or 1)
