"""Which shard goes to a node that came back: one at a time, and only when the fullest node gets less full."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.drain.evening import GIVE_UP_S, UNEVEN_FOR_S, NodeEvener, NodeMove
from cluster.drain.nodes import ClusterNode

ASK = 0.25


def node(name: str, *shards: int, cpus: float = 2.0, free: float = 1.0, gateways: int = 0) -> ClusterNode:
    actors = {f"shard-{number}": ASK for number in shards} | {f"gateway-{n}": ASK for n in range(gateways)}
    return ClusterNode(name, "10.0.0.1", name, cpus, free, actors=actors)


def loads(*nodes: ClusterNode) -> dict[int, float]:
    return {int(name[6:]): 0.1 for one in nodes for name in one.actors if name.startswith("shard-")}


def decided(*nodes: ClusterNode, avoid: tuple[str, ...] = ()) -> tuple[int, str] | None:
    """What is decided when it has been so for long."""
    evener = NodeEvener()
    for now in (0.0, UNEVEN_FOR_S):
        move = evener.look(nodes, avoid, loads(*nodes), now, settled=True)
    return None if move is None else (move.shard, move.node_id)


def test_an_empty_node_gets_a_shard_of_the_fullest() -> None:
    assert decided(node("a", 0, 1), node("b", 2, 3, 4), node("c")) == (2, "c")


@pytest.mark.parametrize(
    "nodes",
    [
        [node("a", 0), node("b")],
        [node("a", 0, 1), node("b", 2)],
        [node("a", 0, 1), node("b", free=0.1)],
        [node("a", 0, 1)],
        [node("a", cpus=1.0), node("b", 0, cpus=8.0)],
        [node("a", 0, cpus=1.0), node("b", cpus=8.0)],
        [node("a", gateways=3), node("b")],
    ],
    ids=["one is enough", "even", "no room", "alone", "a small one", "a single shard", "gateways stay"],
)
def test_where_nothing_is_gained_nothing_moves(nodes: list[ClusterNode]) -> None:
    assert decided(*nodes) is None


def test_a_drained_node_gets_nothing() -> None:
    assert decided(node("a", 0, 1), node("b"), avoid=("b",)) is None


def test_a_small_node_is_full_with_less() -> None:
    assert decided(node("a", 0, 1, 2, cpus=8.0), node("b", cpus=2.0)) is None
    assert decided(node("a", 0, 1, cpus=2.0), node("b", 2, 3, cpus=8.0)) == (0, "b")


def test_the_least_loaded_goes_and_never_one_that_may_not() -> None:
    nodes = [node("a", 0, 1, 2), node("b")]
    evener = NodeEvener()
    for now in (0.0, UNEVEN_FOR_S):
        move = evener.look(nodes, (), {0: 0.1, 1: 0.05}, now, settled=True)
    assert move == NodeMove(1, "b", UNEVEN_FOR_S)


def test_it_has_to_be_so_for_a_while_and_settled() -> None:
    nodes = [node("a", 0, 1), node("b")]
    evener = NodeEvener()
    assert evener.look(nodes, (), loads(*nodes), 0.0, settled=True) is None
    assert evener.look(nodes, (), loads(*nodes), UNEVEN_FOR_S, settled=False) is None
    assert evener.look(nodes, (), loads(*nodes), UNEVEN_FOR_S + 1, settled=True) is None
    assert evener.look(nodes, (), loads(*nodes), 2 * UNEVEN_FOR_S + 1, settled=True) is not None


def on_its_way() -> tuple[NodeEvener, list[ClusterNode]]:
    nodes = [node("a", 0, 1), node("b")]
    evener = NodeEvener()
    for now in (0.0, UNEVEN_FOR_S):
        evener.look(nodes, (), loads(*nodes), now, settled=True)
    assert evener.move is not None
    return evener, nodes


def test_one_at_a_time_and_after_it_a_rest() -> None:
    evener, nodes = on_its_way()
    assert evener.look(nodes, (), loads(*nodes), UNEVEN_FOR_S + 2, settled=True) == evener.move
    evener.done()
    assert evener.look(nodes, (), loads(*nodes), UNEVEN_FOR_S + 4, settled=True) is None


@pytest.mark.parametrize("why", ["late", "drained", "gone", "pinned", "unsettled"])
def test_a_move_that_can_not_end_is_given_up(why: str) -> None:
    evener, nodes = on_its_way()
    now = UNEVEN_FOR_S + (GIVE_UP_S + 1 if why == "late" else 1)
    avoid = ("b",) if why == "drained" else ()
    there = nodes[:1] if why == "gone" else nodes
    may_go = {} if why == "pinned" else loads(*nodes)
    assert evener.look(there, avoid, may_go, now, settled=why != "unsettled") is None


def without(one: ClusterNode, shard: int) -> dict[str, float]:
    return {name: ask for name, ask in one.actors.items() if name != f"shard-{shard}"}


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([1.0, 2.0, 4.0, 16.0])), min_size=1, max_size=6))
def test_whatever_there_is_it_ends(shape: list[tuple[int, float]]) -> None:
    numbers = iter(range(100))
    nodes = [
        node(str(at), *(next(numbers) for _ in range(count)), cpus=cpus, free=99.0)
        for at, (count, cpus) in enumerate(shape)
    ]
    for _ in range(100):
        found = decided(*nodes)
        if found is None:
            return
        shard, to_node = found
        nodes = [
            replace(one, actors=without(one, shard) | ({f"shard-{shard}": ASK} if one.id == to_node else {}))
            for one in nodes
        ]
    raise AssertionError("it goes on for ever")
