"""A chunk's neighbours, as the cluster makes and removes them."""

from __future__ import annotations

from typing import Final

from world.chunk import Chunk
from world.crossing import approach
from world.ids import ChunkId, Direction
from world.inputs import Done, Linked, NoNeighbor, Refusal, Unlinked
from world.state import ShardState

NOT_HERE: Final = Refusal("chunk_not_here")


def linked(state: ShardState, news: Linked) -> Done | Refusal:
    """Link a neighbour; those who stand before that side ask for their cells at once."""
    chunk = state.chunks.get(news.chunk_id)
    if chunk is None:
        return NOT_HERE
    chunk.wanted.pop(news.direction, None)
    if chunk.neighbors[news.direction] != news.neighbor_id:
        set_neighbor(state, chunk, news.direction, news.neighbor_id)
        for actor in chunk.ordered:
            crossing = actor.running.crossing if actor.running is not None else None
            if crossing is not None and crossing.side == news.direction:
                crossing.no_neighbor = None
                if crossing.at_door:
                    approach(state, actor, crossing)
    return Done()


def unlinked(state: ShardState, news: Unlinked) -> Done | Refusal:
    """Unlink a neighbour; a chunk left with one side at most may be next to go."""
    chunk = state.chunks.get(news.chunk_id)
    if chunk is None:
        return NOT_HERE
    if chunk.neighbors[news.direction] is not None:
        set_neighbor(state, chunk, news.direction, None)
        if chunk.idle_since is not None:
            state.check_idle(chunk, chunk.idle_since)
    return Done()


def no_neighbor(state: ShardState, news: NoNeighbor) -> Done | Refusal:
    """Note that no neighbour could be made: the walks that wait at that side end in the next step."""
    chunk = state.chunks.get(news.chunk_id)
    if chunk is None:
        return NOT_HERE
    chunk.wanted.pop(news.direction, None)
    for actor in chunk.ordered:
        crossing = actor.running.crossing if actor.running is not None else None
        if crossing is not None and crossing.side == news.direction and crossing.at_door:
            crossing.no_neighbor = news.reason
    return Done()


def set_neighbor(state: ShardState, chunk: Chunk, side: Direction, neighbor_id: ChunkId | None) -> None:
    """Change a side, and tell the watchers."""
    chunk.neighbors[side] = neighbor_id
    if neighbor_id is None:
        state.event(chunk, "neighbor_unlinked", dir=side)
    else:
        state.event(chunk, "neighbor_linked", dir=side, chunk_id=neighbor_id)
    if chunk.id not in state.out.statics:
        state.out.statics.append(chunk.id)
    state.keep_chunk(chunk)
