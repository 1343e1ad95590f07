"""A trained policy in a live world, and that world's recording in an environment's kind of world."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from chunkcrawl.embedded import EmbeddedWorld
from tests.browser.chromium import OpenPage, needs_chromium
from tests.browser.conftest import browser, open_page
from tests.browser.looking import live, row
from world.recording import ReplayVerdict, decode_input, state_digest, verify
from world.rules import Rules
from world.shard import ShardWorld

__all__ = ["browser", "open_page"]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "training" / "play_live.py"
PLAYERS, SECONDS = 3, 40

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="module")
def world(records: Path) -> Iterator[EmbeddedWorld]:
    """A world of one shard that records what it is told."""
    with EmbeddedWorld(settings={"CHUNKCRAWL_SHARDS": "1", "CHUNKCRAWL_RECORD_DIR": str(records)}) as running:
        yield running


def harvest(world: EmbeddedWorld, number: int) -> subprocess.Popen[str]:
    """The example, in a process of its own."""
    environment = os.environ | {"CHUNKCRAWL_API_KEY": world.new_key(), "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}"}
    argv = [sys.executable, str(EXAMPLE), "--base", world.base, "--agent-id", f"harvester-{number}"]
    return subprocess.Popen([*argv, "--seconds", str(SECONDS)], env=environment, stdout=subprocess.PIPE, text=True)


@needs_chromium
async def test_it_harvests_before_ones_eyes(world: EmbeddedWorld, open_page: OpenPage) -> None:
    """The picture is docs/training-live.png, taken anew."""
    running = [harvest(world, number) for number in range(PLAYERS)]
    screen = await open_page()
    page = screen.page
    await page.goto(f"{world.base}/watch#/agent/harvester-0")
    await live(page)
    await expect(page.locator(row("harvester-0"))).to_be_attached()
    await expect(page.locator('#agents > li[data-activity="harvesting"]')).not_to_have_count(0)
    await expect(page.locator("#stat-gold")).to_have_text(re.compile(r"^([3-9]|\d\d)$"), timeout=SECONDS * 1000)
    await screen.shot("training-live")
    told = [process.communicate(timeout=SECONDS + 60)[0] for process in running]
    gold = [int(found[1]) for text in told if (found := re.search(r"(\d+) gold in", text))]
    assert len(gold) == PLAYERS, told
    assert sum(gold) >= 3 * PLAYERS


def quiet_state(lines: Any) -> str:
    """The state that an environment's kind of world comes to by a recording's inputs."""
    world: ShardWorld | None = None
    for line in lines:
        if line["rec"] == "header":
            world = ShardWorld(Rules.from_json(line["rules"]), line["world_seed"], line["shard"], quiet=True)
        assert world is not None
        if line["rec"] == "input":
            world.apply(decode_input(line))
        elif line["rec"] == "step":
            world.step(line["tick"])
        elif line["rec"] == "take":
            world.take()
    assert world is not None
    return state_digest(world)


async def test_its_recording_comes_to_the_same_state_everywhere(world: EmbeddedWorld, records: Path) -> None:
    """As the shard noted when it ended, in a replay, and in a world that tells nobody."""
    world.stop()
    verdict, noted, quiet = _all_three(records)
    assert verdict.same
    assert verdict.complete
    assert verdict.takes > 100
    assert verdict.state == noted == quiet


def _all_three(directory: Path) -> tuple[ReplayVerdict, str, str]:
    path = max(directory.glob("shard-0-*.jsonl"), key=lambda path: path.stat().st_size)
    texts = path.read_text().splitlines()
    lines = [json.loads(text) for text in texts]
    return verify(texts), lines[-1]["state"], quiet_state(lines)
