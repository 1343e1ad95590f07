"""A node that was drained and is taken back carries shards again, and everything when it is the only one left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.patched_tree import Patch, patched_tree
from tests.cluster.scenarios import run_scenario

LIMIT_S = 400
AGENTS = "20"
#: So that nobody has to wait for a minute.
PATCHES = [Patch("cluster/drain/evening.py", "UNEVEN_FOR_S: Final = 60.0", "UNEVEN_FOR_S: Final = 5.0")]


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.timeout(LIMIT_S + 20)
def test_a_node_that_is_taken_back_is_used_again(tmp_path: Path) -> None:
    tree = patched_tree(tmp_path / "tree", PATCHES)
    agents = os.environ.get("UNDRAIN_AGENTS", AGENTS)
    found = run_scenario("tests.chaos.undrain_scenario", agents, limit_s=LIMIT_S, tree=tree)
    print(f"{found['accepted']} commands accepted; shards on the node: {found['steps']}")
    seed = f"CHAOS_SEED={found['seed']}"
    assert found["drained"][0] == 0, found["drained"]
    assert found["undrained"][0] == 0, found["undrained"]
    shards = [count for _, count in found["steps"]]
    assert shards[0] > 0, "at first"
    assert 0 in shards, "drained"
    assert 2 in shards[shards.index(0) :], "taken back: half of the four shards"
    assert set(found["alone"].values()) == {found["node"]}, "the other node is gone: everything is here"
    assert found["accepted"] > 0, seed
    assert (found["unsettled"], found["holes"], found["findings"]) == ([], [], []), seed
    assert found["gold"][0] == found["gold"][1], seed
