"""The README's explorers of both languages at once, in a world as ``make run`` starts it: with demo agents in it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chunkcrawl.embedded import EmbeddedWorld
from tests.sdk.explorer import came_home, explorer
from tests.sdk_js.node import javascript, needs_node, program

CHUNKS, GOLD = 10, 100

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1500), needs_node]


@pytest.fixture(scope="module")
def world() -> Iterator[EmbeddedWorld]:
    with EmbeddedWorld(base=os.environ.get("CHUNKCRAWL_TEST_BASE"), demo=True) as running:
        yield running


async def test_both_explore_ten_chunks_harvest_a_hundred_gold_and_come_home(
    world: EmbeddedWorld, tmp_path: Path
) -> None:
    env = os.environ | {"CHUNKCRAWL_BASE": world.base, "CHUNKCRAWL_API_KEY": world.key}
    python = [sys.executable, "-c", explorer("explorer.py", "python", CHUNKS, GOLD)]
    script = tmp_path / "explorer.mjs"
    script.write_text(javascript(explorer("explorer.mjs", "js", CHUNKS, GOLD)))
    await asyncio.gather(
        asyncio.to_thread(came_home, python, env, tmp_path, CHUNKS, GOLD),
        asyncio.to_thread(came_home, [program(), str(script)], env, tmp_path, CHUNKS, GOLD),
    )
