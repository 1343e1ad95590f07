from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.accounts import key_ring
from api.accounts.key_ring import KeyRing
from api.accounts.tokens import NewApiKey, new_api_key
from api.errors import ApiError
from store import api_keys
from store.engine import make_engine
from tests.store.rows import new_account, new_key


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def ring(engine: AsyncEngine) -> KeyRing:
    return KeyRing(engine)


async def stored(engine: AsyncEngine, expires_at: datetime | None = None) -> tuple[NewApiKey, api_keys.KeyRecord]:
    key = new_api_key()
    account_id = await new_account(engine)
    return key, await new_key(engine, account_id, prefix=key.prefix, key_hash=key.digest, expires_at=expires_at)


async def refuses(ring: KeyRing, plain: str) -> None:
    with pytest.raises(ApiError, match="invalid_api_key"):
        await ring.prove(plain)


async def test_a_key_proves_itself(ring: KeyRing, engine: AsyncEngine) -> None:
    key, record = await stored(engine)
    assert (await ring.prove(key.plain)).key_id == record.key_id
    for wrong in (key.prefix, key.prefix + "_" + "x" * 43, key.plain + "x", "", "\0", new_api_key().plain):
        await refuses(ring, wrong)


async def test_a_proved_key_is_remembered_for_a_moment(
    ring: KeyRing, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    find = api_keys.find

    async def counting(*args: object) -> object:
        nonlocal asked
        asked += 1
        return await find(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(api_keys, "find", counting)
    key, record = await stored(engine)
    for _ in range(5):
        await ring.prove(key.plain)
    assert asked == 1
    ring.forget(record.key_id)
    await ring.prove(key.plain)
    assert asked == 2
    monkeypatch.setattr(key_ring, "CACHE_S", 0.0)
    await ring.prove(key.plain)
    assert asked == 3


async def test_an_expired_key_is_refused_from_the_cache_too(
    ring: KeyRing, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = await stored(engine, datetime.now(UTC) + timedelta(seconds=60))
    await ring.prove(key.plain)
    monkeypatch.setattr(key_ring, "utc_now", lambda: datetime.now(UTC) + timedelta(seconds=61))
    await refuses(ring, key.plain)


async def test_a_revoked_key_is_refused(ring: KeyRing, engine: AsyncEngine) -> None:
    key, record = await stored(engine)
    found = await api_keys.find(engine, key.prefix)
    assert found is not None
    await api_keys.revoke(engine, found.account_id, record.key_id)
    await refuses(ring, key.plain)


async def test_the_cache_is_bounded(ring: KeyRing, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "CACHED_KEYS", 2)
    for _ in range(4):
        key, _ = await stored(engine)
        await ring.prove(key.plain)
    assert len(ring._cached) == 2
