"""Sessions as history, in PostgreSQL.  Which session lives is for Redis to say (``api.accounts.sessions``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from store.models import SessionRow


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session's row."""

    jti: str
    token_hash: str = field(repr=False)
    account_id: str
    key_id: str | None
    role: str
    agent_id: str | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


_COLUMNS: Final = tuple(column.name for column in fields(SessionRecord))


async def put_many(engine: AsyncEngine, records: Sequence[SessionRecord]) -> None:
    """Write sessions, new or known; no ``jti`` twice in one call.

    A later expiry and a revocation always win, so it does not matter in which order gateways write.
    """
    statement = insert(SessionRow)
    statement = statement.on_conflict_do_update(
        index_elements=[SessionRow.jti],
        set_={
            "expires_at": func.greatest(SessionRow.expires_at, statement.excluded.expires_at),
            "revoked_at": func.coalesce(SessionRow.revoked_at, statement.excluded.revoked_at),
        },
    )
    async with engine.begin() as connection:
        # Not ``asdict``, which copies every value; a time takes it as long as the rest of a row.
        await connection.execute(statement, [{name: getattr(record, name) for name in _COLUMNS} for record in records])


async def of_agent(engine: AsyncEngine, agent_id: str, *, limit: int) -> list[SessionRecord]:
    """Return the newest sessions that are for an agent, the newest first."""
    return await _find(engine, SessionRow.agent_id == agent_id, limit)


async def live_of(engine: AsyncEngine, *, account_id: str | None, agent_id: str | None, limit: int) -> list[str]:
    """Return the ids of sessions of an account or for an agent that are neither over nor revoked."""
    whose = SessionRow.agent_id == agent_id if account_id is None else SessionRow.account_id == account_id
    statement = select(SessionRow.jti).where(whose, SessionRow.revoked_at.is_(None), SessionRow.expires_at > func.now())
    async with engine.connect() as connection:
        return list(await connection.scalars(statement.limit(limit)))


async def revoke_many(engine: AsyncEngine, jtis: Sequence[str]) -> None:
    """Mark sessions as revoked."""
    statement = update(SessionRow).where(SessionRow.jti.in_(jtis), SessionRow.revoked_at.is_(None))
    async with engine.begin() as connection:
        await connection.execute(statement.values(revoked_at=func.now()))


async def revoke_of_key(engine: AsyncEngine, key_id: str) -> None:
    """Mark a key's sessions as revoked.  A row that arrives later still has a revoked key."""
    statement = (
        update(SessionRow)
        .where(SessionRow.key_id == key_id, SessionRow.revoked_at.is_(None), SessionRow.expires_at > func.now())
        .values(revoked_at=func.now())
    )
    async with engine.begin() as connection:
        await connection.execute(statement)


async def delete_expired(engine: AsyncEngine, before: datetime, *, limit: int = 5000) -> int:
    """Delete sessions that expired before ``before``, at most ``limit``; returns how many."""
    doomed = select(SessionRow.jti).where(SessionRow.expires_at < before).limit(limit)
    async with engine.begin() as connection:
        answer = await connection.execute(
            delete(SessionRow).where(SessionRow.jti.in_(doomed)).returning(SessionRow.jti)
        )
        return len(answer.all())


async def _find(engine: AsyncEngine, whose: ColumnElement[bool], limit: int) -> list[SessionRecord]:
    columns = [getattr(SessionRow, name) for name in _COLUMNS]
    statement = select(*columns).where(whose).order_by(SessionRow.created_at.desc()).limit(limit)
    async with engine.connect() as connection:
        return [SessionRecord(*row) for row in await connection.execute(statement)]
