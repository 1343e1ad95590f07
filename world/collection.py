"""Collecting empty chunks: when one may go, and its going.

The shard only sees its own side; the cluster checks the graph again and answers ``Close`` or ``Keep``.
Source: docs/protocol.md, "What the world shows".
"""

from __future__ import annotations

from heapq import heappop
from typing import Final

from world.chunk import Chunk
from world.ids import DIRECTIONS
from world.inputs import Close, Done, Keep, Refusal
from world.links import NOT_HERE, set_neighbor
from world.outputs import CollectWanted
from world.state import ShardState

MOST_NEIGHBORS: Final = 1
NOT_EMPTY: Final = Refusal("not_empty")


def find_idle(state: ShardState) -> None:
    """Ask to collect the chunks that have been idle for long enough.

    Asked once; unanswered for another idle time, once more.
    """
    due = state.idle_checks
    while due and due[0][0] <= state.tick:
        _, chunk_id = heappop(due)
        chunk = state.chunks.get(chunk_id)
        if chunk is None or chunk.idle_since is None or not _loose(chunk):
            continue
        if chunk.reserved:
            state.check_idle(chunk, state.tick)
        elif state.tick >= max(chunk.idle_since, chunk.asked_collect) + state.rules.collect_idle_ticks:
            chunk.asked_collect = state.tick
            state.out.requests.append(CollectWanted(chunk_id))
            state.check_idle(chunk, state.tick)
        # Else it was used meanwhile, and another check is under way.


def _loose(chunk: Chunk) -> bool:
    """Return whether the graph holds together without it."""
    neighbors = sum(chunk.neighbors[side] is not None for side in DIRECTIONS)
    return not chunk.pinned and neighbors <= MOST_NEIGHBORS


def close(state: ShardState, order: Close) -> Done | Refusal:
    """Remove an empty chunk, and the links to it of this shard's chunks."""
    chunk = state.chunks.get(order.chunk_id)
    if chunk is None:
        return NOT_HERE
    if chunk.members or chunk.reserved:
        return NOT_EMPTY
    remove_chunk(state, chunk)
    state.out.closed.append(chunk.id)
    for side in DIRECTIONS:
        neighbor = state.chunks.get(chunk.neighbors[side] or chunk.id)
        if neighbor is None:
            continue
        for back in DIRECTIONS:
            if neighbor.neighbors[back] == chunk.id:
                set_neighbor(state, neighbor, back, None)
                if neighbor.idle_since is not None:
                    state.check_idle(neighbor, neighbor.idle_since)
    return Done()


def keep(state: ShardState, order: Keep) -> Done | Refusal:
    """Keep the chunk: its idle time starts anew."""
    chunk = state.chunks.get(order.chunk_id)
    if chunk is None:
        return NOT_HERE
    if chunk.idle_since is not None:
        chunk.idle_since = state.tick
        state.keep_chunk(chunk)
        state.check_idle(chunk, state.tick)
    return Done()


def remove_chunk(state: ShardState, chunk: Chunk) -> None:
    """Take a chunk without agents out of the shard's books."""
    del state.chunks[chunk.id]
    state.inhabited.pop(chunk.id, None)
    state.changed = [one for one in state.changed if one is not chunk]
    state.forget_chunk(chunk)
