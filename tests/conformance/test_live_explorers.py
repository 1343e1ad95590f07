"""The README's explorers in both languages, at once, as they stand, against the real world."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chunkcrawl.embedded import EmbeddedWorld
from tests.sdk.explorer import came_home, explorer
from tests.sdk_js.node import NO_NODE, javascript, node

pytestmark = pytest.mark.ray


@pytest.fixture
def company() -> Iterator[EmbeddedWorld]:
    """A world as ``make run`` starts it: with demo agents in it."""
    with EmbeddedWorld(base=os.environ.get("CHUNKCRAWL_TEST_BASE"), demo=True) as running:
        yield running


@pytest.mark.timeout(240)
async def test_both_find_a_chunk_and_gold_and_come_home(world: EmbeddedWorld, tmp_path: Path) -> None:
    await both_come_home(world, tmp_path, 1, 1)


@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_both_find_ten_chunks_and_a_hundred_gold_in_company(company: EmbeddedWorld, tmp_path: Path) -> None:
    await both_come_home(company, tmp_path, 10, 100)


async def both_come_home(world: EmbeddedWorld, folder: Path, chunks: int, gold: int) -> None:
    env = os.environ | {"CHUNKCRAWL_BASE": world.base, "CHUNKCRAWL_API_KEY": world.key}
    commands = [[sys.executable, "-c", explorer("explorer.py", "python", chunks, gold)]]
    program = node()
    if program is not None:
        script = folder / "explorer.mjs"
        script.write_text(javascript(explorer("explorer.mjs", "js", chunks, gold)))
        commands.append([program, str(script)])
    runs = [asyncio.to_thread(came_home, command, env, folder, chunks, gold) for command in commands]
    await asyncio.gather(*runs)
    assert [Path(name).suffix for name in os.listdir(folder) if name.startswith("scout")] == [".map"]
    if program is None:
        pytest.skip(f"{NO_NODE}; the one in Python came home")
