"""What a pass of the coordinator goes by: which nodes are drained, what is still on them, what gives no answer."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from cluster.drain import drained_nodes
from cluster.drain.drained import drain, read_drained
from cluster.drain.drained_nodes import DrainedNodes
from cluster.drain.nodes import ClusterNode
from config.settings import Settings

SETTINGS = Settings(shard_cpus=1.0, gateway_cpus=0.5)


class Alive:
    """The living nodes, as Ray would say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nodes = [ClusterNode(letter, "10.0.0.1", "host", 2.0, 1.0) for letter in "ab"] + [
            ClusterNode("h", "10.0.0.9", "head", 0.0, 0.0)
        ]
        monkeypatch.setattr(drained_nodes, "living_nodes", lambda: self.nodes)


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Alive:
    return Alive(monkeypatch)


async def test_actors_on_a_drained_node_are_to_leave_and_the_others_stay(redis: Redis, alive: Alive) -> None:
    nodes = DrainedNodes(redis, SETTINGS)
    await drain(redis, "a", ["b"], "operator")
    await nodes.look()
    nodes.heard(
        {"shard-0": {"node": "a"}, "shard-1": {"node": "b"}, "gateway-0": {"node": "a"}, "shard-2": {"error": ""}}
    )
    assert (set(nodes.avoid), nodes.usable) == ({"a"}, 1)
    assert nodes.left_on(["shard-0", "shard-1", "shard-2"]) == ["shard-0"]
    assert nodes.silent(["shard-0", "shard-2", "shard-3"]) == ["shard-2", "shard-3"]
    shown = {node["id"]: node for node in nodes.describe()}
    assert shown["a"]["drained"]
    assert shown["a"]["actors"] == {"shard-0": 1.0, "gateway-0": 0.5}
    assert not shown["b"]["drained"]


async def test_one_that_gives_no_answer_is_where_it_was_until_it_is_made_anew(redis: Redis, alive: Alive) -> None:
    nodes = DrainedNodes(redis, SETTINGS)
    await drain(redis, "a", ["b"], "operator")
    await nodes.look()
    nodes.heard({"shard-0": {"node": "a"}})
    nodes.heard({"shard-0": {"error": "no answer"}})
    assert nodes.left_on(["shard-0"]) == nodes.silent(["shard-0"]) == ["shard-0"]
    nodes.made_anew("shard-0")
    assert nodes.left_on(["shard-0"]) == []
    assert nodes.silent(["shard-0"]) == ["shard-0"]


async def test_when_only_drained_nodes_are_left_they_are_used(redis: Redis, alive: Alive) -> None:
    nodes = DrainedNodes(redis, SETTINGS)
    await drain(redis, "a", ["b"], "operator")
    alive.nodes = [node for node in alive.nodes if node.id != "b"]
    await nodes.look()
    assert nodes.avoid == frozenset()
    assert [node["drained"] for node in nodes.describe()] == [True, False], "but the wish is kept, and shown"


async def test_the_wish_about_a_node_that_has_left_is_forgotten(redis: Redis, alive: Alive) -> None:
    await drain(redis, "gone", ["a"], "operator")
    await drain(redis, "a", ["b"], "scale")
    nodes = DrainedNodes(redis, SETTINGS)
    await nodes.look()
    assert await read_drained(redis) == {"a": "scale"}
    assert nodes.avoid == {"a"}
