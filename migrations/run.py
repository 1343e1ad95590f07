"""Bring a database up (or down) to a revision; safe to call from any number of processes at once.

A PostgreSQL advisory lock lets one process work and the others wait; each of them then finds nothing left to do.
All revisions of one call run in one transaction, so a failure leaves the database as it was.

    python -m migrations.run upgrade [revision]
    python -m migrations.run downgrade <revision>
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from config.database_url import BadDatabaseUrl
from config.errors import OperatorError
from store.engine import engine_of

#: The advisory lock's number: "chunk" in ASCII.  Any fixed number would do.
LOCK_KEY: Final = 0x6368756E6B

#: A revision that can't get its table locks in this time fails instead of holding up every query behind it.
LOCK_TIMEOUT_S: Final = 10
CONNECT_TIMEOUT_S: Final = 60.0

_FOLDER: Final = Path(__file__).parent


class NewerDatabase(OperatorError):
    """A newer release has migrated this database."""

    reason = "newer_database"


async def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the database up to ``revision``.

    Raises:
        NewerDatabase: see there; nothing has changed.
        sqlalchemy.exc.SQLAlchemyError, OSError: the database is away or refused a revision; nothing has changed.
    """
    await _locked(database_url, lambda config: command.upgrade(config, revision))


async def downgrade(database_url: str, revision: str) -> None:
    """Take the database down to ``revision`` (``base``: empty), dropping what is in its tables.  Raises as above."""
    await _locked(database_url, lambda config: command.downgrade(config, revision))


async def current(database_url: str) -> str | None:
    """Return the revision that the database is at; None for one that was never migrated."""
    engine = _engine(database_url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    finally:
        await engine.dispose()


def head() -> str | None:
    """Return the newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def revisions() -> frozenset[str]:
    """Every revision there is."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


async def _locked(database_url: str, work: Callable[[Config], Any]) -> None:
    engine = _engine(database_url)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
            await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'"))
            await connection.execute(text("SET timezone = 'UTC'"))
            await connection.commit()
            # The lock belongs to the database session, so closing the connection frees it, however this ends.
            await connection.run_sync(_run, work)
            await connection.commit()
    finally:
        await engine.dispose()


def _engine(database_url: str) -> AsyncEngine:
    # No statement timeout here: waiting for another process's migration may take long, and so may a big table.
    return engine_of(database_url, timeout_s=CONNECT_TIMEOUT_S, poolclass=NullPool)


def _run(connection: Connection, work: Callable[[Config], Any]) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in revisions():
        raise NewerDatabase(
            f"a newer release has migrated this database (revision {found}): start that release again, or restore a "
            "backup from before the upgrade (`chunkcrawl restore DIR --force`)"
        )
    config = _config()
    config.attributes["connection"] = connection
    work(config)


def _main(words: list[str]) -> int:
    url = os.environ.get("CHUNKCRAWL_DATABASE_URL", "")
    if not url or not words or words[0] not in ("upgrade", "downgrade") or (words[0] == "downgrade" and len(words) < 2):
        print(f"{__doc__}\nCHUNKCRAWL_DATABASE_URL names the database.", file=sys.stderr)
        return 2
    run = upgrade(url, *words[1:2]) if words[0] == "upgrade" else downgrade(url, words[1])
    try:
        asyncio.run(run)
    except (BadDatabaseUrl, NewerDatabase, SQLAlchemyError, OSError) as error:
        print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
