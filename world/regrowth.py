"""Nodes growing back: from their last unit to being full again.

Source: docs/protocol.md, "Playing" (``harvest``).
"""

from __future__ import annotations

from heapq import heappop, heappush

from world.chunk import Chunk
from world.nodes import Node
from world.state import ShardState


def watch_regrowth(state: ShardState, chunk: Chunk, node: Node) -> None:
    """Have the node looked at in the next step, where it starts to grow back, and again when it is full."""
    if node.regen_at is not None:
        heappush(state.regrowth, (state.next_tick, chunk.id, node.spec.index))
        heappush(state.regrowth, (node.regen_at, chunk.id, node.spec.index))


def regrow(state: ShardState) -> None:
    """Change the nodes that are due: depleted ones show as regenerating, regenerated ones get all units back."""
    due = state.regrowth
    while due and due[0][0] <= state.tick:
        _, chunk_id, index = heappop(due)
        chunk = state.chunks.get(chunk_id)
        if chunk is None:
            continue
        node = list(chunk.nodes.values())[index]
        if node.regen_at is None:
            continue
        if node.regen_at <= state.tick:
            node.regen_at = None
            node.set(node.spec.max_remaining, "available")
            state.event(chunk, "resource_regenerated", node_id=node.id)
            state.fact("regenerated", chunk.id, None, node_id=node.id, amount=node.remaining)
            state.keep_chunk(chunk)
        elif node.state == "depleted":
            node.set(0, "regenerating")
            state.show(chunk)
        chunk.show_resources()
