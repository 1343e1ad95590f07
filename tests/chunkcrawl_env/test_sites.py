"""The places of a chunk."""

from __future__ import annotations

from chunkcrawl_env.sites import ChunkSites
from world.chunk import Chunk
from world.genesis import new_chunk
from world.grid import SIDE_OF, distance
from world.rules import Rules
from world.terrain import make_terrain


def sites() -> ChunkSites:
    rules = Rules(demo=False)
    return ChunkSites(Chunk(new_chunk(1, 3, "S", rules), make_terrain(1, 3, "S", rules)), 0)


def test_doors_and_inner_cells_are_all_floor_there_is() -> None:
    made = sites()
    assert len(made.doors) % 4 == 0
    assert {SIDE_OF[cell] for cell in made.doors} == set(made.chunk.terrain.exits)
    assert len(made.doors) + len(made.inner) == int(made.chunk.terrain.floor.sum())


def test_gold_is_dug_from_beside_it_while_there_is_any() -> None:
    made = sites()
    for cell in made.beside_gold():
        node = made.node_at(cell)
        assert node is not None
        assert distance(node.cell, cell) == 1
    for node in made.chunk.nodes.values():
        node.set(0, "depleted")
    assert made.beside_gold() == []
    assert not any(made.node_at(cell) for cell in made.inner)
