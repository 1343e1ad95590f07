"""A load that comes and goes: shards and nodes follow it, from one to three and back, and nothing is lost meanwhile."""

from __future__ import annotations

import os

import pytest

from tests.cluster.scenarios import run_scenario

LIMIT_S = 900
AGENTS = os.environ.get("AUTOSCALE_AGENTS", "60")
CROWD = os.environ.get("AUTOSCALE_CROWD", "350")
#: Of such a crowd two shards use more than this each, and three shards without any a quarter of it.
SCALE_CPU = os.environ.get("AUTOSCALE_CPU", "0.045")


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.timeout(LIMIT_S + 20)
def test_shards_and_nodes_follow_a_load_up_and_down() -> None:
    found = run_scenario("tests.chaos.autoscale_scenario", AGENTS, CROWD, SCALE_CPU, limit_s=LIMIT_S)
    print("seconds, shards, nodes, cores:", *found["steps"])
    print(f"{found['accepted']} commands accepted")
    seed = f"CHAOS_SEED={found['seed']}"
    assert found["accepted"] > 0, seed
    assert (found["unsettled"], found["holes"], found["findings"]) == ([], [], []), seed
    seen = [(shards, nodes) for _, shards, nodes, _ in found["steps"]]
    assert seen[0] == seen[-1] == (1, 1)
    assert (3, 3) in seen
    counts = [shards for shards, _ in seen]
    assert counts.index(3) > 0
    assert counts == sorted(counts[: counts.index(3)]) + sorted(counts[counts.index(3) :], reverse=True), (
        "up, then down"
    )
