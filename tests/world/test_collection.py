"""Empty chunks go; what keeps them."""

from __future__ import annotations

import pytest

from tests.world.harness import HALL, TinyCluster
from world.ids import AgentId, ChunkId, HandoffId
from world.inputs import Close, Done, Keep, Refusal, Release, Reserve, Reserved
from world.outputs import CollectWanted

NEXT = ChunkId("chunk-1")


def visit(world: TinyCluster, name: str = "a") -> None:
    """Make chunk-1 by walking there and leaving the world."""
    world.join(name, 48, 24)
    world.move(name, 49, 24)
    world.run_until_idle()
    world.leave(name)


def test_collected_after_its_idle_time(cluster: TinyCluster) -> None:
    """Exactly when it has been idle for 300 ticks; unlinked on the other side, watchers told by ``closed``."""
    visit(cluster)
    cluster.statics.clear()
    cluster.run(299)
    assert not cluster.closed
    cluster.run()
    assert cluster.closed == [NEXT]
    cluster.run()
    assert cluster.events(kind="neighbor_unlinked") == [{"type": "neighbor_unlinked", "dir": "E"}]
    assert HALL in cluster.statics
    assert cluster.home[HALL].chunk_static(HALL)["neighbors"]["E"] is None


def test_coming_again_finds_a_new_chunk(cluster: TinyCluster) -> None:
    visit(cluster)
    cluster.run(300)
    cluster.join("b", 48, 24)
    cluster.move("b", 49, 24)
    cluster.run_until_idle()
    assert cluster.place("b") == (ChunkId("chunk-2"), 0, 24)


def test_somebody_in_it_keeps_it(cluster: TinyCluster) -> None:
    visit(cluster)
    cluster.run(200)
    cluster.join("b", 48, 24)
    cluster.move("b", 49, 24)
    cluster.run_until_idle()
    cluster.run(400)
    assert not cluster.closed
    cluster.leave("b")
    cluster.run(300)
    assert cluster.closed == [NEXT]


def test_two_neighbors_keep_it(cluster: TinyCluster) -> None:
    """A chunk between two others stays until it is a leaf; then both go, the outer one first."""
    cluster.join("a", 48, 24)
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    static = cluster.home[NEXT].chunk_static(NEXT)
    side, door = next(
        (s, d) for s, d in (("N", (24, 49)), ("E", (49, 24)), ("S", (24, 0))) if static["grid"][d[1]][d[0]] == 0
    )
    assert cluster.move("a", *door).accepted, side
    cluster.run_until_idle()
    assert cluster.place("a")[0] == "chunk-2"
    cluster.leave("a")
    cluster.run(301)
    assert cluster.closed == ["chunk-2", NEXT]


def test_the_hall_is_pinned(world: TinyCluster) -> None:
    world.join("a", 20, 25)
    world.leave("a")
    world.run(1_000)
    assert not world.closed
    assert not [request for request in world.requests if isinstance(request, CollectWanted)]


def test_a_reserved_cell_keeps_it(world: TinyCluster) -> None:
    visit(world)
    shard = world.shards[0]
    handoff = HandoffId("h")
    assert shard.apply(Reserve(handoff, AgentId("b"), NEXT, 0, 25)) == Reserved(ok=True)
    assert shard.apply(Close(NEXT)) == Refusal("not_empty")
    world.run(700)
    assert not world.closed
    shard.apply(Release(handoff, NEXT))
    world.run(300)
    assert world.closed == [NEXT]


def test_asked_once_until_answered(world: TinyCluster) -> None:
    """One request per idle time; ``Keep`` starts the time anew."""
    visit(world)
    world.answers = False
    world.run(310)
    assert world.unanswered == [CollectWanted(NEXT)]
    assert world.shards[0].apply(Keep(NEXT)) == Done()
    world.run(299)
    assert world.unanswered == [CollectWanted(NEXT)]
    world.run(2)
    assert world.unanswered == [CollectWanted(NEXT)] * 2
    world.run(300)
    assert world.unanswered == [CollectWanted(NEXT)] * 3


def test_used_between_asking_and_closing(world: TinyCluster) -> None:
    """Closing checks again: somebody is in it, so it stays, and everything goes on."""
    visit(world)
    world.answers = False
    world.run(300)
    world.answers = True
    world.join("b", 48, 24)
    world.move("b", 49, 24)
    world.run_until_idle()
    assert world.shards[0].apply(Close(NEXT)) == Refusal("not_empty")
    assert world.place("b") == (NEXT, 0, 24)
    world.run(5)


@pytest.mark.parametrize("order", [Close(ChunkId("chunk-9")), Keep(ChunkId("chunk-9"))])
def test_a_chunk_that_is_elsewhere(world: TinyCluster, order: Close | Keep) -> None:
    assert world.shards[0].apply(order) == Refusal("chunk_not_here")


def test_closing_leaves_nothing_behind(world: TinyCluster) -> None:
    """No output speaks of a chunk that is gone."""
    visit(world)
    world.run(300)
    before = len(world.deltas)
    world.run(50)
    assert [delta.chunk_id for delta in world.deltas[before:]] in ([], [HALL])
    assert world.shards[0].chunk_ids == [HALL]
