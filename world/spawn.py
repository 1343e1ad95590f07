"""Where agents that join are placed, and in which chunk that is tried first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from world.chunk import Chunk
from world.grid import CELLS, CENTRE, X_OF, Y_OF
from world.ids import DIRECTIONS, HALL, ChunkId, Direction

_FAR: Final = 10**9
_X: Final = np.array(X_OF, dtype=np.int64)
_Y: Final = np.array(Y_OF, dtype=np.int64)
_INDEX: Final = np.arange(CELLS, dtype=np.int64)
# Every fourth cell first: a crowd that fills a hall leaves everyone room to walk off.
_SPREAD: Final = np.where((_X - CENTRE[0]) % 2 + (_Y - CENTRE[1]) % 2 == 0, 0, 1_000)


def _keys(around: tuple[int, int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return a number for each cell, all different: nearer cells first, of equals the one with the lower index."""
    near = np.abs(_X - around[0]) + np.abs(_Y - around[1])
    keys: np.ndarray[tuple[int], np.dtype[np.int64]] = near * CELLS + _INDEX
    return keys


_CENTRE_KEYS: Final = _keys(CENTRE) + _SPREAD * CELLS


def nearest_free(chunk: Chunk, near: tuple[int, int]) -> int | None:
    """Return the free inner floor cell nearest to a place (Manhattan; of equals the most southern, then western)."""
    return _first_free(chunk, _keys(near))


def seat_for(chunk: Chunk, near: tuple[int, int] | None) -> int | None:
    """Return a cell to join on: close to ``near``, else around the centre with gaps; None when all are taken."""
    return _first_free(chunk, _CENTRE_KEYS if near is None else _keys(near))


def _first_free(chunk: Chunk, keys: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int | None:
    free = np.frombuffer(chunk.walk, dtype=np.uint8) == 1
    ranked = np.where(free, keys, _FAR)
    best = int(ranked.argmin())
    return best if ranked[best] < _FAR else None


def spawn_order(graph: Mapping[ChunkId, Mapping[Direction, ChunkId | None]]) -> list[ChunkId]:
    """Return the chunks in the order in which new agents are offered to them.

    Breadth first from ``chunk-0``, sides in the order N, E, S, W.

    Args:
        graph: The neighbours of every chunk; a chunk without an entry has none.
    """
    order = [HALL]
    known = {HALL}
    for chunk_id in order:  # grows while it is walked through
        sides = graph.get(chunk_id, {})
        for side in DIRECTIONS:
            neighbor = sides.get(side)
            if neighbor is not None and neighbor not in known:
                known.add(neighbor)
                order.append(neighbor)
    return order
