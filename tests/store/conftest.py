"""An engine on a migrated database of the test's own module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import make_engine


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def fresh_engine(fresh_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    """On a database of this one test."""
    engine = make_engine(fresh_postgres_url)
    yield engine
    await engine.dispose()
