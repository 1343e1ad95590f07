"""Rows for the tests of the store."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from store import accounts, api_keys
from store.sessions import SessionRecord

_numbers = itertools.count(1)


def unique(kind: str) -> str:
    return f"{kind}_{next(_numbers)}"


async def new_account(engine: AsyncEngine, email: str | None = None) -> str:
    account_id = unique("acc")
    await accounts.create(
        engine,
        account_id=account_id,
        email=email or f"{account_id}@example.com",
        password_hash="$argon2id$",
        token_hash=unique("hash"),
    )
    return account_id


async def new_key(engine: AsyncEngine, account_id: str, *, limit: int = 100, **other: Any) -> api_keys.KeyRecord:
    values = {
        "key_id": unique("key"),
        "prefix": unique("dcw"),
        "key_hash": "h",
        "label": None,
        "expires_at": None,
    } | other
    return await api_keys.create(engine, account_id=account_id, limit=limit, **values)


def session_record(account_id: str, **other: Any) -> SessionRecord:
    now = datetime.now(UTC)
    values = {
        "jti": unique("jti"),
        "token_hash": unique("token"),
        "account_id": account_id,
        "key_id": None,
        "role": "agent",
        "agent_id": "a-1",
        "created_at": now,
        "expires_at": now + timedelta(seconds=900),
    } | other
    return SessionRecord(**values)
