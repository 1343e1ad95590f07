from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from store import session_log
from store.session_log import SessionLog
from store.sessions import put_many
from tests.store.rows import new_account, session_record
from tests.store.test_sessions import stored


@pytest.fixture
async def log(engine: AsyncEngine) -> AsyncIterator[SessionLog]:
    log = SessionLog(engine)
    log.start()
    yield log
    await log.close()


async def until_stored(engine: AsyncEngine, jti: str) -> Any:
    for _ in range(500):
        found = await stored(engine, jti)
        if found is not None:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("never written")


async def test_a_put_row_is_written_soon(engine: AsyncEngine, log: SessionLog) -> None:
    record = session_record(await new_account(engine))
    log.put(record)
    assert await until_stored(engine, record.jti) == record


async def test_states_of_one_session_become_one_row(engine: AsyncEngine) -> None:
    log = SessionLog(engine)
    opened = session_record(await new_account(engine))
    revoked = replace(opened, revoked_at=datetime.now(UTC))
    refreshed = replace(opened, expires_at=opened.expires_at + timedelta(seconds=9))
    for record in (opened, revoked, refreshed):
        log.put(record)
    await log.close()
    assert await stored(engine, opened.jti) == replace(refreshed, revoked_at=revoked.revoked_at)


async def test_closing_writes_what_waits(engine: AsyncEngine) -> None:
    account_id = await new_account(engine)
    records = [session_record(account_id) for _ in range(session_log.MAX_ROWS + 7)]
    log = SessionLog(engine)
    for record in records:
        log.put(record)
    await log.close()
    for record in (records[0], records[-1]):
        assert await stored(engine, record.jti) == record


async def test_a_row_that_the_database_refuses_does_not_hold_up_the_others(engine: AsyncEngine) -> None:
    lost: list[int] = []
    log = SessionLog(engine, lost.append)
    good = session_record(await new_account(engine))
    log.put(session_record("acc_that_is_gone"))
    log.put(good)
    await log.close()
    assert await stored(engine, good.jti) == good
    assert lost == [1]


async def test_rows_wait_while_the_database_is_away(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 2

    async def flaky(*args: Any) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise OperationalError("away", None, ConnectionError())
        await put_many(*args)

    monkeypatch.setattr(session_log, "put_many", flaky)
    monkeypatch.setattr(session_log, "RETRY_S", 0.01)
    account_id = await new_account(engine)
    log = SessionLog(engine)
    log.start()
    first = session_record(account_id)
    log.put(first)
    assert await until_stored(engine, first.jti) == first
    assert failures == 0
    await log.close()


async def test_the_buffer_is_bounded(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_log, "MAX_WAITING", 2)
    lost: list[int] = []
    log = SessionLog(engine, lost.append)
    account_id = await new_account(engine)
    for _ in range(4):
        log.put(session_record(account_id))
    assert lost == [1, 1]
    await log.close()
