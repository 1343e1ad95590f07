"""An engine for maintenance: no pool, no time limits (a digest reads its table from end to end), times in UTC."""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from store.engine import engine_of

CONNECT_TIMEOUT_S: Final = 10.0
SESSION: Final = {
    "timezone": "UTC",
    "application_name": "chunkcrawl-maintenance",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}


def patient_engine(database_url: str) -> AsyncEngine:
    """Make an engine for a ``postgresql+asyncpg://`` URL; nothing is opened before its first use."""
    return engine_of(database_url, timeout_s=CONNECT_TIMEOUT_S, session=SESSION, poolclass=NullPool)
