"""API keys in PostgreSQL; never the keys themselves, only a prefix to find one by and a hash to prove it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config.errors import ServerError
from store.models import Account, ApiKey


class KeyLimitReached(ServerError):
    """The account has as many live keys as it may have."""

    reason = "key_limit_reached"


class PrefixTaken(ServerError):
    """Another key has this prefix; make a new key."""

    reason = "prefix_taken"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as its owner sees it."""

    key_id: str
    prefix: str
    label: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyProof:
    """What it takes to accept a key."""

    key_id: str
    account_id: str
    key_hash: str = field(repr=False)
    expires_at: datetime | None
    revoked_at: datetime | None


_RECORD: Final = (
    ApiKey.key_id,
    ApiKey.prefix,
    ApiKey.label,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.revoked_at,
)


async def create(
    engine: AsyncEngine,
    *,
    key_id: str,
    account_id: str,
    prefix: str,
    key_hash: str,
    label: str | None,
    expires_at: datetime | None,
    limit: int,
) -> KeyRecord:
    """Add a key.

    The account's row is locked while its live keys are counted, so ``limit`` holds however many ask at once.

    Raises:
        KeyLimitReached: there are ``limit`` live keys.
        PrefixTaken: chance, or hardly; try again with another key.
    """
    values = {
        "key_id": key_id,
        "account_id": account_id,
        "prefix": prefix,
        "key_hash": key_hash,
        "label": label,
        "expires_at": expires_at,
    }
    async with engine.begin() as connection:
        await _lock_account(connection, account_id)
        live = select(func.count()).where(
            ApiKey.account_id == account_id,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
        )
        if (await connection.scalar(live) or 0) >= limit:
            raise KeyLimitReached(account_id)
        statement = insert(ApiKey).values(values).on_conflict_do_nothing(index_elements=[ApiKey.prefix])
        row = (await connection.execute(statement.returning(*_RECORD))).one_or_none()
        if row is None:
            raise PrefixTaken(prefix)
    return KeyRecord(*row)


async def find(engine: AsyncEngine, prefix: str) -> KeyProof | None:
    """Return the key with this prefix, dead ones included; None when there is none."""
    columns = (ApiKey.key_id, ApiKey.account_id, ApiKey.key_hash, ApiKey.expires_at, ApiKey.revoked_at)
    async with engine.connect() as connection:
        row = (await connection.execute(select(*columns).where(ApiKey.prefix == prefix))).one_or_none()
    return None if row is None else KeyProof(*row)


async def list_of(engine: AsyncEngine, account_id: str) -> list[KeyRecord]:
    """Return an account's keys, oldest first."""
    statement = select(*_RECORD).where(ApiKey.account_id == account_id).order_by(ApiKey.created_at, ApiKey.key_id)
    async with engine.connect() as connection:
        return [KeyRecord(*row) for row in await connection.execute(statement)]


async def revoke(engine: AsyncEngine, account_id: str, key_id: str) -> datetime | None:
    """End a key for good; return when, the first time it was ended; None when the account has no such key."""
    statement = (
        update(ApiKey)
        .where(ApiKey.key_id == key_id, ApiKey.account_id == account_id)
        .values(revoked_at=func.coalesce(ApiKey.revoked_at, func.now()))
        .returning(ApiKey.revoked_at)
    )
    async with engine.begin() as connection:
        found: datetime | None = await connection.scalar(statement)
    return found


async def revoked_within(engine: AsyncEngine, period: timedelta) -> list[str]:
    """Return the ids of the keys revoked less than ``period`` ago, by the database's clock."""
    async with engine.connect() as connection:
        return list(await connection.scalars(select(ApiKey.key_id).where(ApiKey.revoked_at > func.now() - period)))


async def _lock_account(connection: AsyncConnection, account_id: str) -> None:
    # FOR NO KEY UPDATE: other inserts that merely refer to the account need not wait.
    await connection.execute(
        select(Account.account_id).where(Account.account_id == account_id).with_for_update(key_share=True)
    )
