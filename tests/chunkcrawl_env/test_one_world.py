"""A world in one shard that answers its own requests."""

from __future__ import annotations

import pytest

from chunkcrawl_env.one_world import OneWorld, WorldIsFull
from world.grid import SIDE_OF
from world.ids import HALL, AgentId, ChunkId
from world.rules import Rules

QUIET = Rules(demo=False, collect_idle_ticks=10)


def walk(world: OneWorld, x: int, y: int) -> None:
    """Have the agent ``a`` go there, and wait until it stands."""
    tick = world.shard.tick
    assert world.submit("a", f"to-{tick}", {"type": "move_to", "x": x, "y": y}).accepted
    while world.shard.busy_agents:
        world.step()


def place(world: OneWorld) -> tuple[ChunkId, int, int]:
    agent = world.shard.agent(AgentId("a"))
    assert agent is not None
    return agent.chunk_id, agent.x, agent.y


def test_chunks_at_the_start_are_linked_both_ways() -> None:
    world = OneWorld(3, Rules(), chunks=7)
    chunks = world.shard.state.chunks
    assert list(chunks) == [f"chunk-{number}" for number in range(7)]
    for chunk in chunks.values():
        for side, other in chunk.neighbors.items():
            assert other is None or chunk.id in chunks[other].neighbors.values()
            assert other is None or side in chunk.terrain.exits
    assert sum(other is not None for chunk in chunks.values() for other in chunk.neighbors.values()) == 12


@pytest.mark.parametrize("heard", [True, False])
def test_a_chunk_is_made_for_whoever_goes_there_and_removed_when_it_is_empty(heard: bool) -> None:
    world = OneWorld(1, QUIET, heard=heard)
    world.join("a", HALL, (46, 24))
    walk(world, 49, 24)
    assert place(world) == ("chunk-1", 0, 24)
    walk(world, 0, 24)
    assert place(world) == (HALL, 49, 24)
    for _ in range(QUIET.collect_idle_ticks + 1):
        world.step()
    assert world.shard.chunk_ids == [HALL]
    walk(world, 49, 24)
    assert place(world)[0] == "chunk-2"


def test_where_no_more_chunks_may_be_a_walk_out_ends_blocked() -> None:
    world = OneWorld(1, QUIET, chunks_max=1)
    world.join("a")
    walk(world, 49, 24)
    chunk, x, y = place(world)
    assert (chunk, SIDE_OF[y * 50 + x]) == (HALL, None)


def test_who_finds_a_chunk_full_begins_in_another() -> None:
    world = OneWorld(1, Rules(spawn_chunk_capacity=1), chunks=2)
    world.join("a")
    world.join("b")
    assert [world.shard.population_of(chunk_id) for chunk_id in world.shard.chunk_ids] == [1, 1]
    with pytest.raises(WorldIsFull, match="more chunks"):
        world.join("c")


def test_the_digest_is_of_all_that_is_kept() -> None:
    worlds = [OneWorld(1, QUIET, heard=heard) for heard in (True, False)]
    for world in worlds:
        world.join("a", HALL, (20, 25))
        world.step()
    assert worlds[0].state_digest() == worlds[1].state_digest()
    walk(worlds[0], 21, 25)
    worlds[1].step()
    assert worlds[0].state_digest() != worlds[1].state_digest()
