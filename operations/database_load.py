"""A backup's rows into our tables, which our own migrations have made.

Nothing that came with the backup is run: the statements are ours, the rows are data between them.  Should there be a
way round that, it is not worth much: the rows are loaded by a role that may insert into our tables and nothing else.
It is made in the transaction that loads them, and dropped in it, so nobody ever sees it and no failure leaves it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from operations.backup_files import BackupError
from operations.dump_content import Content, TableRows
from operations.table_digests import SCHEMA, TABLES
from store import event_log_days

_COLUMNS: Final = text(
    "SELECT column_name FROM information_schema.columns WHERE table_schema = :schema AND table_name = :table"
)


async def load(engine: AsyncEngine, content: Content) -> None:
    """Load all rows, in one transaction.

    Raises:
        BackupError: PostgreSQL would not take them, or they are not for these tables; none was loaded then.
        ArchiveError: the archive is damaged; likewise.
        SQLAlchemyError, OSError: the database is away; likewise.
    """
    for day in content.days:
        await event_log_days.make(engine, day, day)
    async with engine.connect() as connection:
        for part in content.rows:
            await _check_columns(connection, part)
        role = await _take_limited_role(connection)
        pooled = await connection.get_raw_connection()
        driver = pooled.driver_connection
        assert isinstance(driver, asyncpg.Connection)
        for part in content.rows:
            try:
                await driver.copy_to_table(
                    part.table,
                    schema_name=SCHEMA,
                    columns=part.columns,
                    source=_pieces(content, part),
                    format="text",
                    encoding="UTF8",
                )
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise BackupError(f"PostgreSQL would not take the rows of {part.table}: {error}") from None
        if role is not None:
            await connection.execute(text("RESET ROLE"))
            await connection.execute(text(f'DROP OWNED BY "{role}"'))
            await connection.execute(text(f'DROP ROLE "{role}"'))
        await connection.commit()


async def _check_columns(connection: AsyncConnection, part: TableRows) -> None:
    there = set(await connection.scalars(_COLUMNS, {"schema": SCHEMA, "table": part.table}))
    if there != set(part.columns):
        raise BackupError(
            f"the rows of {part.table} have the columns {', '.join(part.columns)}; "
            f"at the backup's revision it has {', '.join(sorted(there)) or 'none'}"
        )


async def _take_limited_role(connection: AsyncConnection) -> str | None:
    """Become a role that may only insert rows, until the transaction ends; None when we are no superuser anyway.

    Whoever is none can't run programs or read the server's files, and may not be allowed to make a role.
    """
    if not await connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")):
        return None
    role = f"chunkcrawl_restore_{secrets.token_hex(4)}"
    there = set(
        await connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = :s"), {"s": SCHEMA})
    ) & set(TABLES)
    tables = ", ".join(f'"{SCHEMA}"."{name}"' for name in sorted(there))
    for statement in (
        f'CREATE ROLE "{role}" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS',
        f'GRANT USAGE ON SCHEMA "{SCHEMA}" TO "{role}"',
        f'GRANT INSERT ON {tables} TO "{role}"',
        f'SET LOCAL ROLE "{role}"',
    ):
        await connection.execute(text(statement))
    return role


async def _pieces(content: Content, part: TableRows) -> AsyncIterator[bytes]:
    for piece in content.pieces(part):
        if piece:
            yield piece
