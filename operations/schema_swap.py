"""Putting a restored schema in the place of the present one, which stays beside it until the new one is proven.

A restore that is killed leaves the old schema under ``OLD``; the next one puts it back first.
"""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from operations.table_digests import SCHEMA

log = structlog.get_logger(__name__)

OLD: Final = "chunkcrawl_before_restore"
LOCK_TIMEOUT: Final = "10s"
#: Nothing is lost with the first; the second is carried over.
NO_CONTENT: Final = ["alembic_version", "operator_audit"]


async def has_rows(engine: AsyncEngine) -> bool:
    """Return whether any table of ours holds a row; not counted are the migrations' own, and the audit log."""
    async with engine.connect() as connection:
        names = await connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = :schema AND tablename <> ALL(:left_out)"),
            {"schema": SCHEMA, "left_out": NO_CONTENT},
        )
        for name in list(names):
            if await connection.scalar(text(f'SELECT EXISTS (SELECT 1 FROM "{SCHEMA}"."{name}")')):
                return True
    return False


async def put_aside(engine: AsyncEngine) -> None:
    """Rename the present schema and make an empty one.  Raises ``SQLAlchemyError``; nothing has changed then."""
    if await _exists(engine, OLD):
        log.warning("earlier_restore_broke_off")
        await put_back(engine)
    await _run(
        engine,
        f'ALTER SCHEMA "{SCHEMA}" RENAME TO "{OLD}"',
        f'CREATE SCHEMA "{SCHEMA}"',
        f'GRANT USAGE ON SCHEMA "{SCHEMA}" TO PUBLIC',
    )


async def put_back(engine: AsyncEngine) -> None:
    """Undo ``put_aside``: what is in the new schema is dropped."""
    await _run(engine, f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE', f'ALTER SCHEMA "{OLD}" RENAME TO "{SCHEMA}"')


async def drop_old(engine: AsyncEngine) -> None:
    """Drop the old schema for good; the new one is proven."""
    await _run(engine, f'DROP SCHEMA IF EXISTS "{OLD}" CASCADE')


async def end_others(engine: AsyncEngine) -> None:
    """End other connections to this database: they know the old tables by number."""
    await _run(
        engine,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user",
    )


async def _exists(engine: AsyncEngine, schema: str) -> bool:
    async with engine.connect() as connection:
        found = await connection.scalar(text("SELECT count(*) FROM pg_namespace WHERE nspname = :n"), {"n": schema})
        return bool(found)


async def _run(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        for statement in statements:
            await connection.execute(text(statement))
