"""The README's explorer in JavaScript, as it stands, against the real world."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chunkcrawl.embedded import EmbeddedWorld
from tests.sdk.explorer import came_home, explorer
from tests.sdk_js.node import ROOT, needs_node, program

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240), needs_node]


@pytest.mark.parametrize(
    ("chunks", "gold"),
    [(1, 1), pytest.param(10, 100, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])],
)
def test_the_readmes_explorer_comes_home_with_gold(
    world: EmbeddedWorld, tmp_path: Path, chunks: int, gold: int
) -> None:
    mine = tmp_path / "explorer.mjs"
    here = '"../sdk-js/src/index.js"'
    example = explorer("explorer.mjs", "js", chunks, gold)
    assert here in example
    mine.write_text(example.replace(here, f'"{ROOT}/sdk-js/src/index.js"'))
    env = os.environ | {"CHUNKCRAWL_BASE": world.base, "CHUNKCRAWL_API_KEY": world.key}
    came_home([program(), str(mine)], env, tmp_path, chunks, gold)
