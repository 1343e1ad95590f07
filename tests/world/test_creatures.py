"""Creatures that wander by themselves."""

from __future__ import annotations

import itertools

from tests.world.harness import HALL, TinyCluster
from world.ids import ChunkId
from world.rules import Rules

DEMO = Rules(demo=True)


def slimes(world: TinyCluster, chunk: ChunkId = HALL) -> list[tuple[int, int]]:
    return [(npc["x"], npc["y"]) for npc in world.home[chunk].chunk_delta(chunk)["npcs"]]


def test_they_move_one_cell_every_few_ticks_where_somebody_is() -> None:
    """At most one cell every fifth tick, now and then; never two on a cell or on the boundary (the harness looks)."""
    world = TinyCluster(rules=DEMO)
    world.join("a", 25, 25)
    places = [slimes(world)]
    world.run(300, each=lambda: places.append(slimes(world)))
    moves = 0
    for tick, (before, after) in enumerate(itertools.pairwise(places), start=1):
        for one, other in zip(before, after, strict=True):
            steps = abs(one[0] - other[0]) + abs(one[1] - other[1])
            moves += steps
            assert steps == 0 or (steps == 1 and tick % 5 == 0)
    assert moves > 30


def test_they_rest_where_nobody_is() -> None:
    world = TinyCluster(rules=DEMO)
    world.run(2)
    before = slimes(world)
    world.deltas.clear()
    world.run(100)
    assert slimes(world) == before
    assert not world.deltas


def test_they_are_in_the_way() -> None:
    """An obstacle like an agent: no plan leads through, and its id is the blocker's."""
    world = TinyCluster(rules=Rules(demo=True, npc_step_ticks=10_000))
    (x, y), *_ = slimes(world)
    world.join("a", x - 1, y)
    assert world.move("a", x, y).reason == "unreachable"
    assert world.move("a", x + 1, y).accepted
    world.run_until_idle()
    assert world.place("a")[1:] == (x + 1, y)


def test_the_same_walk_in_every_world_of_a_seed() -> None:
    def walk(seed: int) -> list[list[tuple[int, int]]]:
        world = TinyCluster(rules=DEMO, seed=seed)
        world.join("a", 25, 25)
        places: list[list[tuple[int, int]]] = []
        world.run(60, each=lambda: places.append(slimes(world)))
        return places

    assert walk(1) == walk(1) != walk(2)


def test_none_without_demo() -> None:
    world = TinyCluster()
    world.add_chunk("W")
    assert slimes(world) == slimes(world, ChunkId("chunk-1")) == []


def test_generated_chunks_have_theirs() -> None:
    world = TinyCluster(rules=Rules(demo=True, npcs_per_chunk=3))
    chunk = world.add_chunk("W")
    npcs = world.home[chunk].chunk_delta(chunk)["npcs"]
    assert [npc["id"] for npc in npcs] == ["chunk-1-npc-1", "chunk-1-npc-2", "chunk-1-npc-3"]
    assert {npc["kind"] for npc in npcs} == {"slime"}
    world.check()
