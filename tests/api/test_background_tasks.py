from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from api import background_tasks
from api.services import Services
from store import api_keys
from store import sessions as session_rows
from tests.api.people import keyed, session, signed_up
from tests.store.rows import session_record


async def test_rows_of_sessions_that_expired_long_ago_go(http: httpx.AsyncClient, services: Services) -> None:
    person = await signed_up(http)
    now = datetime.now(UTC)
    for age in (timedelta(days=3), timedelta(hours=1), -timedelta(hours=1)):
        await session_rows.put_many(services.engine, [session_record(person.account_id, expires_at=now - age)])
    assert await services.background.delete_expired_sessions() == 1
    assert await services.background.delete_expired_sessions() == 0
    async with services.engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM sessions")) == 2


async def test_a_revocation_whose_second_half_failed_is_made_good(
    http: httpx.AsyncClient, services: Services, redis: Redis
) -> None:
    person = await signed_up(http)
    key = await keyed(http, person)
    opened = await session(http, key["api_key"], "spectator")
    # The process died between PostgreSQL and Redis.
    await api_keys.revoke(services.engine, person.account_id, key["key_id"])
    assert await services.auth.still_alive([opened["session_jti"]]) == {opened["session_jti"]}
    assert await services.background.revoke_again() == 1
    assert await services.auth.still_alive([opened["session_jti"]]) == set()


async def test_it_goes_on_after_a_failure(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = asyncio.Queue[int]()

    async def failing() -> int:
        await rounds.put(1)
        raise ConnectionError

    monkeypatch.setattr(background_tasks, "EVERY_S", 0.001)
    monkeypatch.setattr(services.background, "delete_expired_sessions", failing)
    services.background.start()
    for _ in range(3):
        await asyncio.wait_for(rounds.get(), 5)
    await services.background.close()
