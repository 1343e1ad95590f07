"""A gateway that listens, over a world that accepts everything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from config.settings import Settings
from tests.api.gates import Gate, running
from tests.api.support import FakeWorld


@pytest.fixture
async def gate(settings: Settings, world: FakeWorld) -> AsyncIterator[Gate]:
    async with running(settings, world) as gate:
        yield gate
