from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store import api_keys
from store.api_keys import KeyLimitReached, KeyRecord, PrefixTaken
from tests.store.rows import new_account, new_key


async def test_a_key_is_found_by_its_prefix(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    record = await new_key(engine, account_id, prefix="dcw_find", key_hash="proof", label="l")
    found = await api_keys.find(engine, "dcw_find")
    assert found is not None
    assert (found.key_id, found.account_id, found.key_hash) == (record.key_id, account_id, "proof")
    assert "proof" not in repr(found)
    assert await api_keys.find(engine, "dcw_none") is None


async def test_times_are_aware(engine: AsyncEngine) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=60)
    record = await new_key(engine, await new_account(engine), expires_at=expires_at)
    assert record.created_at.tzinfo is not None
    assert record.expires_at == expires_at


@pytest.mark.parametrize("limit", [1, 5])
async def test_of_twenty_at_once_exactly_the_limit_is_made(engine: AsyncEngine, limit: int) -> None:
    account_id = await new_account(engine)
    outcomes = await asyncio.gather(
        *(new_key(engine, account_id, limit=limit) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, KeyRecord) for outcome in outcomes) == limit
    assert sum(isinstance(outcome, KeyLimitReached) for outcome in outcomes) == 20 - limit
    assert len(await api_keys.list_of(engine, account_id)) == limit


async def test_revoked_and_expired_keys_make_room(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    first = await new_key(engine, account_id, limit=1)
    assert await api_keys.revoke(engine, account_id, first.key_id) is not None
    await new_key(engine, account_id, limit=1, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await new_key(engine, account_id, limit=1)
    with pytest.raises(KeyLimitReached):
        await new_key(engine, account_id, limit=1)


async def test_the_limit_is_each_accounts_own(engine: AsyncEngine) -> None:
    for _ in range(2):
        await new_key(engine, await new_account(engine), limit=1)


async def test_a_taken_prefix_says_so(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    await new_key(engine, account_id, prefix="dcw_twice")
    with pytest.raises(PrefixTaken):
        await new_key(engine, account_id, prefix="dcw_twice")
    assert len(await api_keys.list_of(engine, account_id)) == 1


async def test_revoking_is_for_the_owner_and_for_good(engine: AsyncEngine) -> None:
    account_id, stranger = await new_account(engine), await new_account(engine)
    key = await new_key(engine, account_id)
    assert await api_keys.revoke(engine, stranger, key.key_id) is None
    first = await api_keys.revoke(engine, account_id, key.key_id)
    assert first is not None
    assert await api_keys.revoke(engine, account_id, key.key_id) == first
    found = await api_keys.find(engine, key.prefix)
    assert found is not None
    assert found.revoked_at == first
    assert key.key_id in await api_keys.revoked_within(engine, timedelta(minutes=1))
    assert key.key_id not in await api_keys.revoked_within(engine, timedelta(0))
