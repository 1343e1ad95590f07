"""Digging gold: conditions, units, every ending, growing back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world.harness import HALL, TinyCluster, refused
from world.rules import Rules

RULES = Rules(demo=False, harvest_ticks_per_unit=3, regen_ticks=20, gold_per_node_min=2, gold_per_node_max=2)


@pytest.fixture
def mine() -> TinyCluster:
    """A world whose nodes hold two units, one every three ticks."""
    return TinyCluster(rules=RULES)


def node_beside(world: TinyCluster, index: int = 0) -> tuple[str, list[tuple[int, int]]]:
    """A node of the hall and the floor cells from which it can be dug, nearest to the node's south-west first."""
    node = world.home[HALL].chunk_static(HALL)["resource_nodes"][index]
    tiles = world.home[HALL].chunk_static(HALL)["tiles"]
    x, y = node["x"], node["y"]
    beside = [(x + dx, y + dy) for dx, dy in ((0, -1), (-1, 0), (1, 0), (0, 1))]
    return node["node_id"], [(x, y) for x, y in beside if 0 < x < 49 and 0 < y < 49 and tiles[y][x] == "."]


def harvest(world: TinyCluster, agent: str, node: str) -> Any:
    return world.submit(agent, {"type": "harvest", "node_id": node})


def resource(world: TinyCluster, node: str) -> dict[str, Any]:
    """The node as a delta shows it now."""
    (view,) = (view for view in world.home[HALL].chunk_delta(HALL)["resources"] if view["node_id"] == node)
    return dict(view)


def taken(result: dict[str, Any]) -> tuple[str, int]:
    """The node that a harvest's result names, and the units that it took."""
    return result["node_id"], result["amount"]


def two_diggers(world: TinyCluster) -> tuple[str, str, str]:
    """A node with two agents that can dig at it."""
    for index in range(6):
        node, cells = node_beside(world, index)
        if len(cells) > 1:
            for name, cell in zip("ab", cells, strict=False):
                assert world.join(name, *cell).x == cell[0]
            return node, "a", "b"
    raise AssertionError("no node with two free sides in the hall")


def test_units_come_on_time(mine: TinyCluster) -> None:
    """A unit at the end of every third tick, told to the agent alone and shown to all; the last one completes."""
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    mine.private.clear()
    assert harvest(mine, "a", node).started_tick == 1
    gold = []
    mine.run(6, each=lambda: gold.append(mine.gold("a")))
    assert gold == [0, 0, 1, 1, 1, 2]
    assert mine.told("a", "agent_private_delta") == [
        {"agent_id": "a", "tick": 3, "inventory": {"gold": 1}, "activity_state": "harvesting"},
        {"agent_id": "a", "tick": 6, "inventory": {"gold": 2}, "activity_state": "idle"},
    ]
    (result,) = mine.results("a")
    assert (result["status"], result["reason"], result["ended_tick"], result["harvested"]) == (
        "completed",
        "node_depleted",
        6,
        2,
    )
    assert taken(result) == (node, 2)
    assert [event for event in mine.events() if event["type"].startswith("resource")] == [
        {"type": "resource_harvest", "node_id": node, "by": "a", "amount": 1},
        {"type": "resource_harvest", "node_id": node, "by": "a", "amount": 1},
        {"type": "resource_depleted", "node_id": node},
    ]
    assert mine.gold_balance()[0] == mine.gold_balance()[1]


def test_activity_is_shown(mine: TinyCluster) -> None:
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    mine.run()
    assert mine.deltas[-1].payload["agents"][0]["activity_state"] == "harvesting"


def test_skipped_ticks_do_not_lose_units(mine: TinyCluster) -> None:
    """Time is the tick's number: after a gap the unit that was due comes at once, one a step."""
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    mine.tick = 9
    mine.run()
    assert mine.gold("a") == 1


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("chunk-0-node-99", "node_not_found"),
        ("chunk-1-node-0", "node_not_found"),
        ("anything", "node_not_found"),
        ("", "invalid_cmd"),
        (7, "invalid_cmd"),
    ],
)
def test_unknown_nodes(mine: TinyCluster, node: Any, reason: str) -> None:
    """Another chunk's node is as unknown as one that never was."""
    mine.join("a", 25, 25)
    assert refused(harvest(mine, "a", node)) == reason


def test_reach_is_manhattan(mine: TinyCluster) -> None:
    """One cell away in a straight line; the diagonal is two."""
    node, cells = node_beside(mine)
    mine.join("near", *cells[0])
    mine.join("far", 25, 25)
    assert refused(harvest(mine, "far", node)) == "too_far"
    assert refused(harvest(mine, "near", node)) is None


def test_node_grows_back(mine: TinyCluster) -> None:
    """Depleted, regenerating from the next tick, available and full after regen_ticks; the version always rises."""
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    seen = []
    mine.run(6 + RULES.regen_ticks, each=lambda: seen.append(resource(mine, node)))
    states = [(view["remaining"], view["state"]) for view in seen]
    assert states[:8] == [(2, "available")] * 2 + [(1, "available")] * 3 + [(0, "depleted")] + [(0, "regenerating")] * 2
    assert states[-2:] == [(0, "regenerating"), (2, "available")]
    versions = [view["version"] for view in seen]
    assert versions == sorted(versions)
    assert versions[-1] == 4
    assert mine.events(kind="resource_regenerated") == [{"type": "resource_regenerated", "node_id": node}]
    assert mine.gold_balance()[0] == mine.gold_balance()[1]
    assert refused(harvest(mine, "a", node)) is None


def test_depleted_is_refused_with_a_time(mine: TinyCluster) -> None:
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    mine.run(7)
    decision = harvest(mine, "a", node)
    assert (decision.reason, decision.retry_after_ms) == ("depleted", (RULES.regen_ticks - 1) * 200)
    assert mine.told("a", "command_ack")[-1]["retry_after_ms"] == decision.retry_after_ms


def test_a_node_that_never_grows_back() -> None:
    rules = Rules(demo=False, harvest_ticks_per_unit=1, regen_ticks=0, gold_per_node_min=1, gold_per_node_max=1)
    world = TinyCluster(rules=rules)
    node, cells = node_beside(world)
    world.join("a", *cells[0])
    harvest(world, "a", node)
    world.run(100)
    assert resource(world, node)["state"] == "depleted"
    decision = harvest(world, "a", node)
    assert (decision.reason, decision.retry_after_ms) == ("depleted", None)


def test_growing_back_where_nobody_is(mine: TinyCluster) -> None:
    """It needs no spectators; the change is shown when it happens."""
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    mine.run(6)
    mine.leave("a")
    mine.run(RULES.regen_ticks)
    assert resource(mine, node)["state"] == "available"
    assert mine.deltas[-1].payload["events"] == [{"type": "resource_regenerated", "node_id": node}]


# -- several at one node --


def test_the_last_unit_goes_by_the_order(mine: TinyCluster) -> None:
    """Two units, two diggers due in one tick: each gets one by the order, and only the last one completes."""
    node, a, b = two_diggers(mine)
    harvest(mine, b, node)
    harvest(mine, a, node)
    mine.run(3)
    assert (mine.gold(a), mine.gold(b)) == (1, 1)
    assert mine.ending(a) == ("completed", "node_depleted")
    assert mine.ending(b) == ("failed", "depleted")
    assert [taken(mine.results(name)[-1])[0] for name in (a, b)] == [node, node]
    assert sum(taken(mine.results(name)[-1])[1] for name in (a, b)) == len(mine.events(kind="resource_harvest"))
    assert [event["by"] for event in mine.events(kind="resource_harvest")] == [b, a]


def test_the_last_unit_when_three_would_take_it() -> None:
    """One unit, two due at once: the first accepted gets it, whatever the names."""
    rules = Rules(demo=False, harvest_ticks_per_unit=2, gold_per_node_min=1, gold_per_node_max=1)
    for first, second in (("a", "b"), ("b", "a")):
        world = TinyCluster(rules=rules)
        node, *_ = two_diggers(world)
        harvest(world, first, node)
        harvest(world, second, node)
        world.run(2)
        assert (world.gold(first), world.gold(second)) == (1, 0)
        assert world.ending(first) == ("completed", "node_depleted")
        assert world.ending(second) == ("failed", "depleted")
        assert world.told(second, "agent_private_delta")[-1]["activity_state"] == "idle"


# -- interrupted --


@pytest.mark.parametrize("kind", ["move_to", "say", "harvest"])
def test_a_new_command_interrupts(mine: TinyCluster, kind: str) -> None:
    """Harvesting alone can be interrupted: its result comes before the new command's ack; what was dug is kept."""
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    mine.run(4)
    mine.private.clear()
    mine.submit(
        "a",
        {
            "move_to": {"type": "move_to", "x": cells[0][0], "y": cells[0][1]},
            "say": {"type": "say", "text": "hi"},
            "harvest": {"type": "harvest", "node_id": node},
        }[kind],
    )
    kinds = [event.kind for event in mine.private]
    assert kinds.index("command_result") < kinds.index("command_ack")
    (result,) = mine.results("a")
    assert (result["status"], result["reason"], result["harvested"]) == ("failed", "interrupted_by_new_command", 1)
    assert taken(result) == (node, 1)
    assert mine.gold("a") == 1
    mine.run_until_idle()
    assert len(mine.results("a")) == 2


def test_a_refused_command_does_not_interrupt(mine: TinyCluster) -> None:
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    assert refused(mine.move("a", 0, 0)) == "unreachable"
    assert refused(mine.submit("a", {"type": "say", "text": ""})) == "invalid_cmd"
    mine.run(6)
    assert mine.ending("a") == ("completed", "node_depleted")


def test_leaving_while_digging(mine: TinyCluster) -> None:
    """Failed, and what was dug goes with the agent and comes back with it."""
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    mine.run(4)
    record = mine.leave("a")
    assert mine.ending("a") == ("failed", "disconnected")
    assert taken(mine.results("a")[-1]) == (node, 1)
    assert (record.gold, record.running) == (1, None)
    mine.run(5)
    assert mine.gold_balance()[0] == mine.gold_balance()[1]
    mine.join("a", *cells[0])
    assert mine.gold("a") == 1
    assert resource(mine, node)["remaining"] == 1


def test_spectators_never_see_inventories(mine: TinyCluster) -> None:
    """The gold of an agent is in no delta, only the amounts that everybody could see it dig."""
    node, cells = node_beside(mine)
    mine.join("a", *cells[0])
    harvest(mine, "a", node)
    mine.run(6)
    for delta in mine.deltas:
        for agent in delta.payload["agents"]:
            assert set(agent) <= {"id", "x", "y", "activity_state", "name"}
        assert "inventory" not in str(delta.payload)
