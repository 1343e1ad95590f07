"""An engine for maintenance: no pool, no time limits (a digest reads its table from end to end), times in UTC."""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

CONNECT_TIMEOUT_S: Final = 10.0
SESSION: Final = {
    "timezone": "UTC",
    "application_name": "chunkcrawl-maintenance",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}


def patient_engine(database_url: str) -> AsyncEngine:
    """For a ``postgresql+asyncpg://`` URL; nothing is opened before its first use."""
    return create_async_engine(
        database_url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": CONNECT_TIMEOUT_S, "server_settings": SESSION},
    )
