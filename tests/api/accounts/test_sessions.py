from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from api import keys as api_keys
from api.accounts.auth import Authenticator
from api.accounts.sessions import DROP_BATCH, OpenedSession, SessionStore
from api.errors import ApiError
from streaming import keys
from streaming.batch import RedisBatch

NOW_S = 1_800_000_000


@pytest.fixture
def store(batch: RedisBatch) -> SessionStore:
    return SessionStore(batch, ttl_s=900)


async def opened(store: SessionStore, *, key_id: str | None = "key_1", key_ends: int | None = None) -> OpenedSession:
    return await store.open(
        role="agent", account_id="acc_1", agent_id="a-1", key_id=key_id, key_expires_at=key_ends, now_s=NOW_S
    )


async def test_an_open_session_can_be_authenticated(store: SessionStore, batch: RedisBatch) -> None:
    made = await opened(store)
    assert await Authenticator(batch, dev=False).authenticate(made.token) == made.session
    assert made.session.expires_at == NOW_S + 900
    assert made.token not in repr(made)
    assert made.session.cmd_secret not in repr(made)


async def test_every_key_of_a_session_expires(store: SessionStore, redis: Redis) -> None:
    await opened(store)
    names = await redis.keys()
    assert len(names) == 3
    for name in names:
        assert 890_000 < await redis.pttl(name) <= 900_000


async def test_the_index_lives_as_long_as_its_longest_session(store: SessionStore, redis: Redis) -> None:
    await opened(store)
    await opened(store, key_ends=NOW_S + 10)
    assert await redis.pttl(api_keys.sessions_of_key("key_1")) > 890_000


@pytest.mark.parametrize(("ends_in_s", "life_s"), [(10, 10), (900, 900), (5_000, 900)])
async def test_a_session_ends_with_its_key(store: SessionStore, ends_in_s: int, life_s: int) -> None:
    made = await opened(store, key_ends=NOW_S + ends_in_s)
    assert made.session.expires_at == NOW_S + life_s
    refreshed = await store.refresh(made.session, made.token, NOW_S + 5)
    assert refreshed.expires_at == NOW_S + min(905, ends_in_s)


@pytest.mark.parametrize("ended_s", [0, 1, 100])
async def test_an_ended_key_opens_nothing(store: SessionStore, redis: Redis, ended_s: int) -> None:
    with pytest.raises(ApiError, match="invalid_api_key"):
        await opened(store, key_ends=NOW_S - ended_s)
    assert await redis.keys() == []


async def test_refreshing_never_shortens(store: SessionStore) -> None:
    made = await opened(store)
    assert (await store.refresh(made.session, made.token, NOW_S - 3_600)).expires_at == NOW_S + 900


async def test_an_unknown_session_can_not_be_refreshed(store: SessionStore) -> None:
    made = await opened(store)
    with pytest.raises(ApiError, match="invalid_session"):
        await store.refresh(made.session, "sess_other", NOW_S)


async def test_revoking_leaves_nothing_of_it(store: SessionStore, redis: Redis) -> None:
    made = await opened(store)
    await store.revoke(made.session, made.token)
    await store.revoke(made.session, made.token)
    assert await redis.keys() == []


async def test_revoking_a_key_ends_however_many_sessions_and_no_others(store: SessionStore, redis: Redis) -> None:
    other = await opened(store, key_id="key_2")
    dev = await opened(store, key_id=None)
    await asyncio.gather(*(opened(store) for _ in range(2 * DROP_BATCH + 3)))
    await store.revoke_key("key_1")
    assert set(await redis.keys("jti:*")) == {keys.session_by_jti(kept.session.jti).encode() for kept in (other, dev)}
    assert len(await redis.keys("sess:*")) == 2
    with pytest.raises(ApiError, match="invalid_api_key"):
        await opened(store)
    await opened(store, key_id="key_2")


async def test_opening_races_with_revoking_and_never_wins(store: SessionStore, redis: Redis) -> None:
    """Whatever the order, no session of the key is alive afterwards."""
    results = await asyncio.gather(
        *(opened(store) for _ in range(20)),
        store.revoke_key("key_1"),
        *(opened(store) for _ in range(20)),
        return_exceptions=True,
    )
    assert any(isinstance(result, ApiError) for result in results)
    assert await redis.keys("jti:*") == []
    assert await redis.keys("sess:*") == []


async def test_the_tombstone_expires(store: SessionStore, redis: Redis) -> None:
    await store.revoke_key("key_1")
    assert await redis.pttl(api_keys.revoked_key("key_1")) > 0
    assert len(await redis.keys()) == 1


async def test_a_session_that_was_never_indexed_is_revoked_too(store: SessionStore, redis: Redis) -> None:
    made = await opened(store, key_id=None)
    await store.revoke(replace(made.session, key_id=None), made.token)
    assert await redis.keys() == []
