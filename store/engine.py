"""The engine: one small pool of asyncpg connections for a process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from config import database_url as urls
from store.away import is_away

POOL_SIZE: Final = 5
POOL_OVERFLOW: Final = 5
POOL_WAIT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 10.0
SESSION: Final = {"timezone": "UTC", "application_name": "chunkcrawl"}


def make_engine(database_url: str, *, pool_size: int = POOL_SIZE, max_overflow: int = POOL_OVERFLOW) -> AsyncEngine:
    """Make an engine for a ``postgresql+asyncpg://`` URL; nothing is opened before its first use.

    A caller waits ``POOL_WAIT_S`` for a free connection, then gets ``sqlalchemy.exc.TimeoutError``.  Each connection
    is pinged before use, so a restarted server costs nobody a failed request.  Sessions run in UTC whatever the
    server's zone.  Parameters never appear in error texts or logs: some of them are hashes and e-mail addresses.

    Whatever says that the server can't serve now (``store.away``) is raised as ``OperationalError``, which the driver
    leaves to ``DBAPIError``, as it does mistakes of ours.
    """
    engine = engine_of(
        database_url,
        timeout_s=CONNECT_TIMEOUT_S,
        command_timeout_s=STATEMENT_TIMEOUT_S,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=True,
        pool_recycle=1800,
    )
    event.listen(engine.sync_engine, "handle_error", _tell_away)
    return engine


def engine_of(
    database_url: str,
    *,
    timeout_s: float,
    command_timeout_s: float | None = None,
    session: Mapping[str, str] = SESSION,
    **pool: Any,
) -> AsyncEngine:
    """Make an engine for a URL with whatever parameters it has; every engine of ours is made here.

    Args:
        timeout_s: For connecting, unless the URL says another.
        command_timeout_s: For a statement; None: no limit.
        session: Parameters of the database session.
        pool: What SQLAlchemy is told about the pool.

    Raises:
        BadDatabaseUrl: The URL can't be used.
    """
    parts = urls.parse(database_url)
    host, port = parts.hosts[0]
    return create_async_engine(
        # For those who look at ``engine.url``; the driver goes by the arguments, which hold several hosts too.
        URL.create(
            urls.SCHEME,
            username=parts.user or None,
            password=parts.password,
            host=host or None,
            port=port,
            database=parts.database or None,
        ),
        hide_parameters=True,
        connect_args={
            **parts.connect_arguments(timeout_s=timeout_s, session=session),
            "command_timeout": command_timeout_s,
        },
        **pool,
    )


def _tell_away(context: ExceptionContext) -> OperationalError | None:
    """Return the exception to raise in place of SQLAlchemy's; None leaves it."""
    error = context.sqlalchemy_exception
    if not isinstance(error, DBAPIError) or isinstance(error, (OperationalError, InterfaceError)):
        return None
    if not error.connection_invalidated and not is_away(error.orig):
        return None
    return OperationalError(
        error.statement,
        error.params,
        error.orig or error,
        hide_parameters=True,
        connection_invalidated=error.connection_invalidated,
    )
