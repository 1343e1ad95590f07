"""Several Ray nodes on one machine: shards are spread, a node dies with its shards, the world goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streaming.connect import connect
from tests.cluster import scenarios

LIMIT_S = 110


def run_scenario(nodes: int, redis_url: str, database_url: str) -> dict[str, Any]:
    """Run ``nodes_scenario`` on a Redis that holds nothing."""

    async def empty() -> None:
        redis = connect(redis_url)
        await redis.flushall()
        await redis.aclose()

    asyncio.run(empty())
    return scenarios.run_scenario("tests.cluster.nodes_scenario", str(nodes), redis_url, database_url, limit_s=LIMIT_S)


@pytest.mark.ray
@pytest.mark.parametrize("nodes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_node_dies_with_its_shards_and_the_world_goes_on(nodes: int, valkey_url: str, postgres_url: str) -> None:
    found = run_scenario(nodes, valkey_url, postgres_url)
    shards = {node for name, node in found["before"].items() if name.startswith("shard-")}
    assert len(shards) == nodes, "shards are spread over the nodes"
    assert any(name.startswith("shard-") for name in found["lost"])
    assert found["unsettled"] == {}, "every accepted command has exactly one result"
    assert found["findings"] == []
    assert found["commands"] > 0
    print(f"{nodes} nodes: {len(found['lost'])} actors lost, all back after {found['recovered_s']} s")
