"""Small builders of the server's messages for the client's tests."""

from __future__ import annotations

import json
from typing import Any

from chunkcrawl.wire.codec import decode_ws
from chunkcrawl.wire.messages import Event

#: A 5 x 5 chunk, row 0 (south) first: a room of 3 x 3 with an exit to the west at (0, 2).
HALL = ["#####", "#...#", "....#", "#...#", "#####"]


def frame(kind: str, payload: dict[str, Any], event_id: str | None = None) -> str:
    """A WebSocket message as text."""
    message: dict[str, Any] = {"type": kind, "trace_id": "t", "server_ts_ms": 1, "payload": payload}
    return json.dumps(message | ({"event_id": event_id} if event_id else {}))


def event(kind: str, event_id: str | None = None, **payload: Any) -> Event:
    """A decoded event."""
    return decode_ws(frame(kind, payload, event_id))


def static(chunk_id: str = "chunk-0", tiles: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """The payload of a ``chunk_static``."""
    rows = tiles or HALL
    grid = [[int(tile == "#") for tile in row] for row in rows]
    nodes = more.pop("resource_nodes", [])
    return {
        "chunk_id": chunk_id,
        "size": {"w": len(rows[0]), "h": len(rows)},
        "tiles": rows,
        "grid": grid,
        "resource_nodes": nodes,
        "neighbors": {"N": None, "E": None, "S": None, "W": None},
        "tick_base": 0,
    } | more


def delta(tick: int, *agents: tuple[str, int, int], chunk_id: str = "chunk-0", **more: Any) -> dict[str, Any]:
    """The payload of a ``chunk_delta`` with agents ``(id, x, y)``."""
    seats = [{"id": name, "x": x, "y": y, "activity_state": "idle"} for name, x, y in agents]
    state = {"chunk_id": chunk_id, "tick": tick, "agents": seats, "npcs": [], "resources": [], "events": []}
    return state | more
