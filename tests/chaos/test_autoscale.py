"""A load that comes and goes: shards and nodes follow it, from one to three and back, and nothing is lost meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 900
AGENTS = os.environ.get("AUTOSCALE_AGENTS", "40")
#: Of so few agents one shard uses more than this, and three without any use less than half of it each.
SCALE_CPU = os.environ.get("AUTOSCALE_CPU", "0.03")


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.timeout(LIMIT_S + 20)
def test_shards_and_nodes_follow_a_load_up_and_down() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.autoscale_scenario", AGENTS, SCALE_CPU],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = orjson.loads(done.stdout.strip().splitlines()[-1])
    print("seconds, shards, nodes:", *found["steps"])
    seed = f"CHAOS_SEED={found['seed']}"
    assert found["accepted"] > 0, seed
    assert (found["unsettled"], found["holes"], found["findings"]) == ([], [], []), seed
    seen = [(shards, nodes) for _, shards, nodes in found["steps"]]
    assert seen[0] == seen[-1] == (1, 1)
    assert (3, 3) in seen
    counts = [shards for shards, _ in seen]
    assert counts.index(3) > 0
    assert counts == sorted(counts[: counts.index(3)]) + sorted(counts[counts.index(3) :], reverse=True), (
        "up, then down"
    )
