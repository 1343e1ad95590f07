"""The README's explorer in JavaScript, as it stands, against the real world."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chunkcrawl.embedded import EmbeddedWorld
from tests.sdk.explorer import came_home, explorer
from tests.sdk_js.node import javascript, needs_node, program

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240), needs_node]


def test_the_readmes_explorer_comes_home_with_gold(world: EmbeddedWorld, tmp_path: Path) -> None:
    """A small journey; the whole one is tests/conformance/test_live_explorers.py."""
    mine = tmp_path / "explorer.mjs"
    mine.write_text(javascript(explorer("explorer.mjs", "js", 1, 1)))
    env = os.environ | {"CHUNKCRAWL_BASE": world.base, "CHUNKCRAWL_API_KEY": world.key}
    came_home([program(), str(mine)], env, tmp_path, 1, 1)
