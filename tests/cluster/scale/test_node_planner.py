"""Which node can go: none that the others would miss, one at a time, never Ray's head."""

from __future__ import annotations

from cluster.drain.nodes import ClusterNode
from cluster.scale.node_planner import SPARE_FOR_S, NodePlanner


def node(name: str, asks: float, *, cpus: float = 2.0, head: bool = False) -> ClusterNode:
    return ClusterNode(name, "10.0.0.1", name, cpus, cpus - asks, head, False, {f"shard-{name}": asks} if asks else {})


def after_a_while(planner: NodePlanner, nodes: list[ClusterNode], **more: bool) -> str | None:
    for now in (0.0, SPARE_FOR_S - 1):
        assert planner.to_empty(nodes, (), now, **{"settled": True} | more) is None
    found = planner.to_empty(nodes, (), SPARE_FOR_S, **{"settled": True} | more)
    return found.id if found else None


def test_the_one_with_the_least_goes_when_the_others_have_had_room_for_a_while() -> None:
    nodes = [node("a", 1.0), node("b", 0.5), node("c", 1.0)]
    assert after_a_while(NodePlanner(1), nodes) == "b"


def test_none_goes_that_the_others_can_not_take_up() -> None:
    assert after_a_while(NodePlanner(1), [node("a", 1.5), node("b", 1.5)]) is None


def test_so_many_stay_as_are_to_stay_and_drained_ones_do_not_count() -> None:
    nodes = [node("a", 0.5), node("b", 0.0), node("c", 0.0)]
    assert after_a_while(NodePlanner(3), nodes) is None
    planner = NodePlanner(2)
    assert planner.to_empty(nodes, {"c"}, 0.0, settled=True) is None
    assert planner.to_empty(nodes, {"c"}, 2 * SPARE_FOR_S, settled=True) is None


def test_the_head_stays() -> None:
    assert after_a_while(NodePlanner(1), [node("h", 0.0, head=True), node("a", 0.5)]) == "a"
    assert after_a_while(NodePlanner(1), [node("h", 0.0, head=True), node("a", 1.9), node("b", 1.9, cpus=1.9)]) == "a"


def test_nothing_goes_while_something_is_under_way_and_the_time_begins_anew() -> None:
    planner, nodes = NodePlanner(1), [node("a", 0.5), node("b", 0.5)]
    assert planner.to_empty(nodes, (), 0.0, settled=True) is None
    assert planner.to_empty(nodes, (), SPARE_FOR_S, settled=False) is None
    assert planner.to_empty(nodes, (), SPARE_FOR_S + 2, settled=True) is None
    assert planner.to_empty(nodes, (), 2 * SPARE_FOR_S + 2, settled=True) is not None
