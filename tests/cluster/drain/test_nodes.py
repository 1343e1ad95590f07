"""Finding a node by what was typed, and refusing to drain one that the world can't do without."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.drain.nodes import CantDrain, ClusterNode, find_node, fits, nodes_in, refuse_drain


def node(letter: str, *, cpus: float = 4.0, free: float = 4.0, drained: bool = False, **actors: float) -> ClusterNode:
    return ClusterNode(
        letter * 56, f"10.0.0.{ord(letter)}", f"node-{letter}", cpus, free, drained=drained, actors=actors
    )


A, B, C = node("a", shard=1.0, gateway=0.5), node("b"), node("c", drained=True)


@pytest.mark.parametrize("word", ["a", "aaaaaaaa", "a" * 56, "node-a", "NODE-A", " 10.0.0.97 "])
def test_a_node_is_found_by_id_name_and_address(word: str) -> None:
    assert find_node([A, B], word) is A


@pytest.mark.parametrize("word", ["x", "", "node", "10.0.0.9"])
def test_an_unknown_one_lists_those_there_are(word: str) -> None:
    with pytest.raises(CantDrain, match=r"no node .* there are aaaaaaaa \(node-a, 10.0.0.97\), bbbbbbbb"):
        find_node([A, B], word)


def test_a_name_of_two_is_none() -> None:
    with pytest.raises(CantDrain, match="more than one node"):
        find_node([A, ClusterNode("a1" * 28, "10.0.0.97", "other", 1, 1)], "10.0.0.97")


def test_the_last_node_is_not_drained() -> None:
    with pytest.raises(CantDrain, match="the last node that the world can run on: add another first"):
        refuse_drain(A, [A])
    with pytest.raises(CantDrain, match=r"or `chunkcrawl undrain` one of cccccccc"):
        refuse_drain(A, [A, C])
    with pytest.raises(CantDrain, match="the last node"):
        refuse_drain(A, [A, node("h", cpus=0.0, free=0.0)])


def test_others_need_room_for_what_runs_there() -> None:
    with pytest.raises(CantDrain, match=r"asks for 1.5 CPUs, and the others have 0.9 free: add a node first"):
        refuse_drain(A, [A, node("b", free=0.9)])
    assert refuse_drain(A, [A, B, C]) == [B]


def test_an_empty_node_needs_none_and_any_may_go_where_nobody_asks_for_cpus() -> None:
    assert refuse_drain(B, [A, B]) == [A]
    assert refuse_drain(node("a", shard=0.0), [node("a"), node("h", cpus=0.0, free=0.0)])


@pytest.mark.parametrize(
    ("asks", "free", "fit"),
    [([], [], True), ([1.0], [0.5, 0.6], False), ([0.5, 0.5, 1.0], [1.0, 1.0], True), ([0.1] * 10, [1.0], True)],
)
def test_actors_fit_into_whole_nodes(asks: list[float], free: list[float], fit: bool) -> None:
    assert fits(asks, free) is fit


def test_what_stands_in_the_status_comes_back() -> None:
    dead = {"node": "dddddddd", "alive": False}
    status: dict[str, Any] = {"nodes": [A.describe(), C.describe(), dead]}
    assert nodes_in(status) == [A, C]
    with pytest.raises(CantDrain, match="a release that can't drain"):
        nodes_in({"nodes": [{"node": "aaaaaaaa", "alive": True}]})
