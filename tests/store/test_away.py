from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from store.away import is_away
from store.engine import make_engine

CODES_OF_ASYNCPG = {
    asyncpg.TooManyConnectionsError: True,
    asyncpg.DiskFullError: True,
    asyncpg.CannotConnectNowError: True,
    asyncpg.AdminShutdownError: True,
    asyncpg.CrashShutdownError: True,
    asyncpg.InvalidPasswordError: True,
    asyncpg.DeadlockDetectedError: True,
    asyncpg.ReadOnlySQLTransactionError: True,
    asyncpg.UniqueViolationError: False,
    asyncpg.UndefinedTableError: False,
    asyncpg.PostgresSyntaxError: False,
    asyncpg.DataError: False,
}


@pytest.mark.parametrize(("error", "away"), CODES_OF_ASYNCPG.items())
def test_by_the_code_that_the_driver_gives(error: type[asyncpg.PostgresError], away: bool) -> None:
    assert is_away(error("secret")) is away


def test_what_has_no_code_says_nothing() -> None:
    assert not is_away(None)
    assert not is_away(RuntimeError())


@asynccontextmanager
async def refusing(code: str) -> AsyncIterator[str]:
    """The URL of a PostgreSQL that takes connections only to say ``code``, as one does that is full or starting."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        fields = b"SFATAL\0VFATAL\0C" + code.encode() + b"\0Mno\0\0"
        writer.write(b"E" + struct.pack("!I", len(fields) + 4) + fields)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"postgresql+asyncpg://a:b@127.0.0.1:{server.sockets[0].getsockname()[1]}/c?ssl=disable"
    server.close()


@pytest.mark.parametrize("code", ["53300", "57P03", "57P01", "57P02", "28P01", "3D000"])
async def test_a_server_that_lets_nobody_in_is_an_operational_error(code: str) -> None:
    async with refusing(code) as url:
        engine = make_engine(url)
        with pytest.raises(OperationalError):
            async with engine.connect():
                pass
        await engine.dispose()


async def test_a_connection_ended_in_the_middle_is_an_operational_error_and_the_next_works(postgres_url: str) -> None:
    engine = make_engine(postgres_url, pool_size=1, max_overflow=0)

    async def sleep() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))

    sleeping = asyncio.create_task(sleep())
    other = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    ended = 0
    while not ended:
        await asyncio.sleep(0.05)
        ended = await other.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE '%pg_sleep%' AND pid != pg_backend_pid()"
        )
    with pytest.raises(OperationalError):
        await sleeping
    await other.close()
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_a_mistake_of_ours_stays_one(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with pytest.raises(DBAPIError) as caught:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT * FROM no_such_table"))
    assert not isinstance(caught.value, OperationalError)
    await engine.dispose()
