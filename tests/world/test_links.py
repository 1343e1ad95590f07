"""Neighbours made and removed by the cluster."""

from __future__ import annotations

import pytest

from tests.world.harness import HALL, TinyCluster
from world.ids import ChunkId
from world.inputs import Done, Input, Linked, NoNeighbor, Refusal, Unlinked

NOWHERE = ChunkId("chunk-77")


def test_a_link_is_static_and_an_event(world: TinyCluster) -> None:
    shard = world.shards[0]
    world.statics.clear()
    assert shard.apply(Linked(HALL, "N", NOWHERE)) == Done()
    assert shard.apply(Linked(HALL, "N", NOWHERE)) == Done()
    world.run()
    assert world.statics == [HALL]
    assert shard.chunk_static(HALL)["neighbors"] == {"N": NOWHERE, "E": None, "S": None, "W": None}
    assert world.events(kind="neighbor_linked") == [{"type": "neighbor_linked", "dir": "N", "chunk_id": NOWHERE}]
    assert shard.neighbors(HALL)["N"] == NOWHERE


def test_unlinking(world: TinyCluster) -> None:
    shard = world.shards[0]
    shard.apply(Linked(HALL, "S", NOWHERE))
    world.pump()
    world.statics.clear()
    for _ in range(2):
        assert shard.apply(Unlinked(HALL, "S")) == Done()
    world.run()
    assert world.statics == [HALL]
    assert world.events(kind="neighbor_unlinked") == [{"type": "neighbor_unlinked", "dir": "S"}]
    assert shard.chunk_static(HALL)["neighbors"]["S"] is None


@pytest.mark.parametrize(
    "news",
    [Linked(NOWHERE, "N", HALL), Unlinked(NOWHERE, "N"), NoNeighbor(NOWHERE, "N", "full")],
    ids=lambda news: type(news).__name__,
)
def test_a_chunk_that_is_elsewhere(world: TinyCluster, news: Input) -> None:
    assert world.shards[0].apply(news) == Refusal("chunk_not_here")


def test_unlinked_while_walking_there(cluster: TinyCluster) -> None:
    """The neighbour is collected while somebody is on the way: a new one is made, with a new id."""
    cluster.join("pioneer", 47, 24)
    cluster.move("pioneer", 49, 24)
    cluster.run_until_idle()
    cluster.leave("pioneer")
    cluster.join("a", 30, 24)
    cluster.run(cluster.rules.collect_idle_ticks - 3)
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    assert cluster.closed == [ChunkId("chunk-1")]
    assert cluster.place("a") == (ChunkId("chunk-2"), 0, 24)
    assert cluster.ending("a") == ("completed", None)
