from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import sessions
from store.models import SessionRow
from store.sessions import SessionRecord
from tests.store.rows import new_account, new_key, session_record


async def stored(engine: AsyncEngine, jti: str) -> SessionRecord | None:
    columns = [getattr(SessionRow, name) for name in SessionRecord.__dataclass_fields__]
    async with engine.connect() as connection:
        row = (await connection.execute(select(*columns).where(SessionRow.jti == jti))).one_or_none()
    return None if row is None else SessionRecord(*row)


async def test_what_is_put_is_there(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    records = [session_record(account_id) for _ in range(3)]
    await sessions.put_many(engine, records)
    assert [await stored(engine, record.jti) for record in records] == records


async def test_a_later_expiry_and_a_revocation_win_in_any_order(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    opened = session_record(account_id)
    refreshed = replace(opened, expires_at=opened.expires_at + timedelta(seconds=60))
    revoked = replace(opened, revoked_at=datetime.now(UTC))
    for order in ([opened, refreshed, revoked], [revoked, refreshed, opened]):
        fresh = session_record(account_id)
        for record in order:
            await sessions.put_many(engine, [replace(record, jti=fresh.jti, token_hash=fresh.token_hash)])
        found = await stored(engine, fresh.jti)
        assert found is not None
        assert (found.expires_at, found.revoked_at) == (refreshed.expires_at, revoked.revoked_at)


async def test_a_keys_sessions_are_revoked_together(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    key, other = await new_key(engine, account_id), await new_key(engine, account_id)
    records = [session_record(account_id, key_id=key.key_id) for _ in range(2)]
    spared = session_record(account_id, key_id=other.key_id)
    await sessions.put_many(engine, [*records, spared])
    await sessions.revoke_of_key(engine, key.key_id)
    for record in records:
        found = await stored(engine, record.jti)
        assert found is not None
        assert found.revoked_at is not None
    assert await stored(engine, spared.jti) == spared


async def test_expired_rows_are_deleted_in_portions_and_no_others(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    now = datetime.now(UTC)
    old = [session_record(account_id, expires_at=now - timedelta(days=2, seconds=n)) for n in range(5)]
    kept = session_record(account_id, expires_at=now - timedelta(hours=1))
    await sessions.put_many(engine, [*old, kept])
    before = now - timedelta(days=1)
    assert await sessions.delete_expired(engine, before, limit=3) == 3
    assert await sessions.delete_expired(engine, before, limit=3) == 2
    assert await sessions.delete_expired(engine, before, limit=3) == 0
    assert await stored(engine, kept.jti) == kept


async def test_life_is_900_seconds_in_any_time_zone(engine: AsyncEngine) -> None:
    """What a server in another zone reads back is the same moment (pitfall B24)."""
    record = session_record(await new_account(engine))
    await sessions.put_many(engine, [record])
    for zone in ("Asia/Kolkata", "America/New_York", "UTC"):
        async with engine.connect() as connection:
            await connection.exec_driver_sql(f"SET timezone = '{zone}'")
            statement = select(SessionRow.created_at, SessionRow.expires_at).where(SessionRow.jti == record.jti)
            created_at, expires_at = (await connection.execute(statement)).one()
            await connection.exec_driver_sql("RESET timezone")
        assert (expires_at - created_at).total_seconds() == 900
        assert expires_at == record.expires_at
