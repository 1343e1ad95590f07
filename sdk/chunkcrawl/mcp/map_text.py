"""What an agent knows of the world, as a short text for a language model, never longer than a budget.  Pure."""

from __future__ import annotations

from typing import Final

from chunkcrawl.mcp.observe import BUDGET_MIN_TOKENS, CHARS_PER_TOKEN
from chunkcrawl.view.world_map import KnownChunk, WorldMap

__all__ = ["map_text"]

NODES_MAX: Final = 4


def map_text(world: WorldMap, here: str | None, now_ms: int, *, budget_tokens: int = 400, notice: str = "") -> str:
    """Return the chunks that were entered, those nearest by doors first.

    Args:
        world: What is known.
        here: Where the agent is.
        now_ms: The server's time, to tell how long ago a chunk was seen; 0: it is not told.
        budget_tokens: As for ``observe``; what is furthest away is left out.
        notice: The first line.
    """
    limit = max(budget_tokens, BUDGET_MIN_TOKENS) * CHARS_PER_TOKEN
    text = f"{notice}\n" if notice else ""
    if here is None or here not in world.chunks:
        return (text + "Nothing is known yet.")[:limit]
    near = [(chunk, way) for chunk, way in world.ways(here) if chunk.entered]
    shown = 0
    for chunk, way in near:
        line = _line(chunk, "".join(way), now_ms) + "\n"
        if len(text) + len(line) + 40 > limit:
            break
        text += line
        shown += 1
    rest = sum(chunk.entered and not chunk.gone for chunk in world.chunks.values()) - shown
    return (text + (f"... {rest} more chunks are known" if rest > 0 else "")).rstrip("\n")[:limit]


def _line(chunk: KnownChunk, way: str, now_ms: int) -> str:
    doors = ", ".join(f"{side} to {chunk.neighbors.get(side) or 'unexplored'}" for side in chunk.exits)
    gold = sorted((node for node in chunk.nodes.values() if node.remaining), key=lambda node: -node.remaining)
    nodes = ", ".join(f"{node.node_id} at {node.x},{node.y} {node.remaining} left" for node in gold[:NODES_MAX])
    more = f" and {len(gold) - NODES_MAX} more" if len(gold) > NODES_MAX else ""
    where = f"go {way}" if way else "here"
    seen = f", seen {(now_ms - chunk.seen_ms) // 1000} s ago" if way and now_ms >= chunk.seen_ms > 0 else ""
    return f"{chunk.chunk_id} ({where}{seen}): doors {doors or 'none'}; gold {nodes or 'none'}{more}."
