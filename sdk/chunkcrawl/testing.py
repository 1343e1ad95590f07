"""Fixtures for tests of agents: a running world.  Needs pytest.

    from chunkcrawl.testing import world

    async def test_my_agent(world):
        async with world.agent() as me:
            await me.move_to(25, 30)

Or once for a whole suite, in its ``conftest.py``: ``pytest_plugins = ["chunkcrawl.testing"]``.  The world is started
once per session (``chunkcrawl up``, some seconds) and is empty but for the agents of the tests, which leave it 3 s
after they were closed.  With ``CHUNKCRAWL_TEST_BASE`` set, the server at that address is used and none is started.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from chunkcrawl.embedded import EmbeddedWorld

__all__ = ["EmbeddedWorld", "world"]


@pytest.fixture(scope="session")
def world() -> Iterator[EmbeddedWorld]:
    """Yield a running world (``EmbeddedWorld``) with ``base``, ``key``, ``new_key()`` and ``agent()``."""
    # Agents of a test that is over would stand in the way of the next ones for the usual 30 s.
    settings = {"CHUNKCRAWL_GRACE_S": "3"}
    with EmbeddedWorld(base=os.environ.get("CHUNKCRAWL_TEST_BASE"), settings=settings) as running:
        yield running
