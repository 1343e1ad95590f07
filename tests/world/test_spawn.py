"""Which cell, which chunk."""

from __future__ import annotations

from tests.world.harness import HALL, QUIET
from world.chunk import Chunk
from world.genesis import new_chunk
from world.grid import SIDE_OF, X_OF, Y_OF, index_of
from world.ids import ChunkId, Direction, chunk_name
from world.spawn import nearest_free, seat_for, spawn_order
from world.terrain import make_terrain


def hall() -> Chunk:
    return Chunk(new_chunk(1, 0, None, QUIET), make_terrain(1, 0, None, QUIET))


def test_around_the_centre_with_gaps() -> None:
    """The centre first, then nearest first on every second row and column."""
    chunk = hall()
    seats = []
    for _ in range(9):
        cell = seat_for(chunk, None)
        assert cell is not None
        chunk.walk[cell] = 0
        seats.append((X_OF[cell], Y_OF[cell]))
    assert seats[0] == (25, 25)
    assert set(seats[1:5]) == {(25, 23), (23, 25), (27, 25), (25, 27)}
    assert all(x % 2 == y % 2 == 1 for x, y in seats)


def test_close_to_a_place() -> None:
    chunk = hall()
    assert seat_for(chunk, (20, 20)) == index_of(20, 20)
    chunk.walk[index_of(20, 20)] = 0
    assert seat_for(chunk, (20, 20)) == index_of(20, 19)


def test_never_on_the_boundary() -> None:
    for door in ((0, 24), (49, 26), (24, 0), (25, 49)):
        cell = nearest_free(hall(), door)
        assert cell is not None
        assert SIDE_OF[cell] is None


def test_nothing_free() -> None:
    chunk = hall()
    chunk.walk[:] = bytes(len(chunk.walk))
    assert seat_for(chunk, None) is None


def test_order_of_chunks() -> None:
    """Breadth first from chunk-0, sides N, E, S, W, each once, also round a loop."""
    graph: dict[ChunkId, dict[Direction, ChunkId | None]] = {
        HALL: {"W": chunk_name(4), "N": chunk_name(9), "E": None, "S": chunk_name(2)},
        chunk_name(9): {"S": HALL, "E": chunk_name(3)},
        chunk_name(4): {"E": HALL, "N": chunk_name(3)},
        chunk_name(3): {"W": chunk_name(9), "S": chunk_name(4), "E": chunk_name(11)},
    }
    assert spawn_order(graph) == ["chunk-0", "chunk-9", "chunk-2", "chunk-4", "chunk-3", "chunk-11"]
    assert spawn_order({}) == ["chunk-0"]
