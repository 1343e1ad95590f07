"""One list of scenarios (``scenarios.json``), played in a live world by each SDK, with the same end."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from chunkcrawl.embedded import EmbeddedWorld
from tests.conformance.player import Player
from tests.sdk_js.node import needs_node, program

HERE = Path(__file__).parent
LIST: Final = HERE / "scenarios.json"
SCENARIOS: Final[list[dict[str, Any]]] = json.loads(LIST.read_text())["scenarios"]

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def keys(world: EmbeddedWorld) -> dict[str, str]:
    """The key of who plays, of another account, and none at all."""
    return {"own": world.key, "stranger": world.new_key(), "keyless": "dcw_nobody"}


def met(results: list[dict[str, Any]], scenario: dict[str, Any]) -> None:
    """Each step gave what the list says, and maybe more."""
    assert len(results) == len(scenario["steps"])
    for step, result in zip(scenario["steps"], results, strict=True):
        found = {name: result.get(name, "nothing") for name in step["gives"]}
        assert found == step["gives"], (scenario["name"], step, result)


async def test_the_python_sdk_does_what_the_list_says(world: EmbeddedWorld, keys: dict[str, str]) -> None:
    run = f"py-{secrets.token_hex(4)}"
    for number, scenario in enumerate(SCENARIOS):
        async with AsyncExitStack() as stack:
            player = Player(world.base, keys, f"{run}-{number}", stack)
            met([await player.play(step) for step in scenario["steps"]], scenario)


@needs_node
async def test_the_javascript_sdk_does_what_the_list_says(world: EmbeddedWorld, keys: dict[str, str]) -> None:
    told = {
        "SCENARIOS": str(LIST),
        "BASE": world.base,
        "KEYS": json.dumps(keys),
        "PREFIX": f"js-{secrets.token_hex(4)}",
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [program(), str(HERE / "player.mjs")],
        env=os.environ | told,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Not splitlines: what is said holds other separators.
    played = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert [one["name"] for one in played] == [scenario["name"] for scenario in SCENARIOS]
    for one, scenario in zip(played, SCENARIOS, strict=True):
        met(one["results"], scenario)


def test_every_scenario_expects_something() -> None:
    for scenario in SCENARIOS:
        assert any(step["gives"] for step in scenario["steps"]), scenario["name"]
