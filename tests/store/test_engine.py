from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import make_engine


async def test_sessions_run_in_utc_whatever_the_servers_zone(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await connection.scalar(text("SHOW timezone")) == "UTC"


async def test_a_killed_connection_costs_nobody_a_failed_query(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
    other = make_engine(engine.url.render_as_string(hide_password=False), pool_size=1)
    async with other.connect() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await other.dispose()


async def test_errors_do_not_quote_parameters(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT 1 / (:secret - 4711)"), {"secret": 4711})
    assert "4711}" not in str(caught.value)
    assert "hide_parameters" in str(caught.value)
