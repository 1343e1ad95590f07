"""The engine: one small pool of asyncpg connections for a process."""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from store.away import is_away

POOL_SIZE = 5
POOL_OVERFLOW = 5
POOL_WAIT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 10.0


def make_engine(database_url: str, *, pool_size: int = POOL_SIZE, max_overflow: int = POOL_OVERFLOW) -> AsyncEngine:
    """An engine for a ``postgresql+asyncpg://`` URL; nothing is opened before its first use.

    A caller waits ``POOL_WAIT_S`` for a free connection, then gets ``sqlalchemy.exc.TimeoutError``.  Each connection
    is pinged before use, so a restarted server costs nobody a failed request.  Sessions run in UTC whatever the
    server's zone.  Parameters never appear in error texts or logs: some of them are hashes and e-mail addresses.

    Whatever says that the server can't serve now (``store.away``) is raised as ``OperationalError``, which the driver
    leaves to ``DBAPIError``, as it does mistakes of ours.
    """
    engine = create_async_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": STATEMENT_TIMEOUT_S,
            "server_settings": {"timezone": "UTC", "application_name": "chunkcrawl"},
        },
    )
    event.listen(engine.sync_engine, "handle_error", _tell_away)
    return engine


def _tell_away(context: ExceptionContext) -> OperationalError | None:
    """The exception to raise in place of SQLAlchemy's; None leaves it."""
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
