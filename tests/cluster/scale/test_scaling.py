"""What the planners decide stands in Redis as an operator's wish would."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from cluster.drain.drained import drain, read_drained
from cluster.drain.nodes import ClusterNode
from cluster.messages import ShardLoad
from cluster.scale.node_planner import SPARE_FOR_S
from cluster.scale.planner import GROW_AFTER_S
from cluster.scale.scaling import Scaling
from config.settings import Settings, SettingsError, load_settings
from streaming import keys

NODES = [ClusterNode(name, "10.0.0.1", name, 2.0, 1.5, actors={f"gateway-{name}": 0.5}) for name in "abc"]


def load(shard: int, cpu: float) -> ShardLoad:
    return ShardLoad(shard, 100.0, cpu, 20.0, 1.0, 0, 3, 10, [], 0)


def busy(shards: int) -> dict[int, ShardLoad]:
    return {shard: load(shard, 0.9) for shard in range(shards)}


async def test_more_shards_are_wished_for_and_nodes_that_were_let_go_are_taken_back_first(redis: Redis) -> None:
    scaling = Scaling(redis, Settings(shards=2, shards_max=4), tick_hz=5)
    await drain(redis, "c", ["a", "b"], "scale")
    await drain(redis, "b", ["a"], "operator")
    assert await scaling.shards(2, busy(2), 0.0) == 2
    assert await redis.hget(keys.WORLD, keys.WANTED_SHARDS) is None
    assert await scaling.shards(2, busy(2), GROW_AFTER_S) == 3
    assert await redis.hget(keys.WORLD, keys.WANTED_SHARDS) == b"3"
    assert await read_drained(redis) == {"b": "operator"}, "what an operator has drained stays so"


async def test_without_a_maximum_nothing_is_ever_wished(redis: Redis) -> None:
    scaling = Scaling(redis, Settings(shards=2), tick_hz=5)
    for now in range(0, 600, 2):
        assert await scaling.shards(5, busy(5), float(now)) == 5
    assert await redis.exists(keys.WORLD) == 0


@pytest.mark.parametrize(("nodes_min", "emptied"), [(0, set()), (2, {"a"}), (3, set())])
async def test_a_node_that_nobody_needs_is_noted_where_nodes_come_and_go(
    redis: Redis, nodes_min: int, emptied: set[str]
) -> None:
    scaling = Scaling(redis, Settings(nodes_min=nodes_min), tick_hz=5)
    for now in (0.0, SPARE_FOR_S):
        await scaling.nodes(NODES, (), now, settled=True)
    assert await read_drained(redis) == dict.fromkeys(emptied, "scale")


async def test_when_too_few_nodes_are_left_those_that_were_let_go_are_used_again(redis: Redis) -> None:
    await drain(redis, "c", ["a", "b"], "scale")
    await Scaling(redis, Settings(nodes_min=2), tick_hz=5).nodes(NODES[1:], {"c"}, 0.0, settled=False)
    assert await read_drained(redis) == {}


def test_a_range_is_a_least_and_a_most() -> None:
    settings = load_settings(shards="2..8", gateways="1..4")
    assert (settings.shards, settings.shards_max) == (2, 8)
    assert (settings.gateways, settings.gateways_max) == (1, 4)
    assert load_settings(shards="3").shards_max == 0
    for wrong, why in (("8..2", "SHARDS_MAX must not be below"), ("2..", "SHARDS_MAX"), ("x..3", "CHUNKCRAWL_SHARDS:")):
        with pytest.raises(SettingsError, match=why):
            load_settings(shards=wrong)
