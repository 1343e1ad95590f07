"""A chunk as it is drawn: the ``chunk_static`` payload.

Source: docs/protocol.md, "What the world shows".
"""

from __future__ import annotations

from typing import Any, Final

from world.chunk import Chunk
from world.grid import WIDTH
from world.ids import DIRECTIONS, Tick, node_name
from world.rules import Rules

LEGEND: Final = {"#": "wall", ".": "floor"}
CELL_CODES: Final = {"0": "floor", "1": "wall"}
RENDER_HINT: Final = {
    "agent_overlay": "chunk_delta.agents",
    "npc_overlay": "chunk_delta.npcs",
    "resource_overlay": "chunk_delta.resources",
    "debug_move_default_agent_id": "demo-player",
}


def static_payload(chunk: Chunk, tick: Tick, rules: Rules) -> dict[str, Any]:
    """Return the payload as of ``tick``, all of it new values.

    ``tiles`` and ``grid`` have row y = 0, the south, first: ``grid[y][x]``.
    """
    return {
        "chunk_id": chunk.id,
        "size": {"w": WIDTH, "h": WIDTH},
        "tiles": list(chunk.terrain.tiles),
        "grid": [[int(tile == "#") for tile in row] for row in chunk.terrain.tiles],
        "legend": dict(LEGEND),
        "resource_nodes": [
            {
                "node_id": node_name(chunk.id, spec.index),
                "type": spec.type,
                "x": spec.x,
                "y": spec.y,
                "max_remaining": spec.max_remaining,
                "harvest_ticks_per_unit": rules.harvest_ticks_per_unit,
                "regen_ticks": rules.regen_ticks,
            }
            for spec in chunk.terrain.nodes
        ],
        "render_hint": {**RENDER_HINT, "cell_codes": dict(CELL_CODES)},
        "neighbors": {side: chunk.neighbors[side] for side in DIRECTIONS},
        "tick_base": tick,
    }
