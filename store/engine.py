"""The engine: one small pool of asyncpg connections for a process."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

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
    """
    return create_async_engine(
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
