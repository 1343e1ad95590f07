"""All nodes of a three-node cluster are replaced in turn while 60 agents play: nothing is lost, nothing comes twice.

Once all of it is of this release; once the nodes that come are of the next one (``next_release``), whose shards and
gateways play beside ours until ours are drained.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cluster.release import RELEASE
from tests.chaos.next_release import FORMAT, REVISION, next_release
from tests.chaos.next_release import RELEASE as NEXT
from tests.cluster.scenarios import ROOT, run_scenario

NODES, AGENTS = 3, 60
LIMIT_S = 580

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(LIMIT_S + 20)]


def roll(*words: str, tree: Path = ROOT) -> dict[str, Any]:
    """Run ``rolling_scenario`` of a tree in a process of its own; what it found."""
    agents = os.environ.get("ROLLING_AGENTS", str(AGENTS))
    found = run_scenario("tests.chaos.rolling_scenario", str(NODES), agents, *words, limit_s=LIMIT_S, tree=tree)
    print(f"{found['accepted']} commands accepted; {[drain['took_s'] for drain in found['drains']]} s a node")
    return found


def judge(found: dict[str, Any]) -> None:
    """Every accepted command has one ack and one result, the world is whole, and all old nodes were empty and went."""
    seed = f"CHAOS_SEED={found['seed']}"
    assert [drain["code"] for drain in found["drains"]] == [0] * NODES, [drain["said"] for drain in found["drains"]]
    assert found["accepted"] > AGENTS // 2, seed
    assert found["unsettled"] == [], seed
    assert found["holes"] == [], seed
    assert found["findings"] == [], seed
    assert found["gold"][0] == found["gold"][1], seed
    assert [drain["after"] for drain in found["drains"]] == [[]] * NODES, found["drains"]
    assert any(name.startswith("shard-") for drain in found["drains"] for name in drain["before"])
    assert not set(found["places"].values()) & set(found["old_nodes"])
    assert {"shard-0", "shard-1", "shard-2", "shard-3", "coordinator", "archiver-0"} <= found["places"].keys()


def test_all_nodes_are_replaced_while_agents_play() -> None:
    judge(roll())


def test_a_release_is_replaced_by_the_next_node_by_node_while_agents_play(tmp_path: Path) -> None:
    tree = next_release(tmp_path / "next")
    found = roll(str(ROOT), tree=tree)
    judge(found)
    between, ours = found["releases_between"], RELEASE.release
    assert found["our_release"] == NEXT
    assert between.pop("coordinator") == NEXT, "the newer one has taken over"
    assert between.pop("archiver-0") == NEXT, "which nobody drains where it is on Ray's head"
    assert set(between.values()) == {ours}, "all others are still of this one"
    left = {name: found["places"].get(name) for name, release in found["releases"].items() if release != NEXT}
    assert left == {}, found["log"]
    assert found["events"]["shard_not_greeted"] > 0, "a call that an older shard lacks is refused, and it goes on"
    assert found["events"]["shard_greeted"] > 0
    assert found["format"] == FORMAT, "raised when nobody of this release was left"
    by_database, by_world = found["refusals"]
    print(by_database, by_world, sep="\n")
    assert REVISION in by_database
    assert f"a newer release has written this world (format {FORMAT}, this one reads up to 1)" in by_world
