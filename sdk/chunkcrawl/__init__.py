"""The SDK: play and watch a chunk world from Python.  It knows only the wire contract (docs/protocol.md).

    from chunkcrawl import Agent

    async with Agent.connect(base, agent_id="scout-1", api_key=key) as me:
        await me.move_to(25, 30)

Names load on first use, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chunkcrawl.agent import Agent
    from chunkcrawl.errors import (
        Blocked,
        ChunkcrawlError,
        ChunkGone,
        CommandFailed,
        CommandRefused,
        OutcomeUnknown,
        TakenOver,
    )
    from chunkcrawl.transport.address import default_base
    from chunkcrawl.transport.history import HistoryEntry
    from chunkcrawl.transport.http import Api
    from chunkcrawl.view.world_view import WorldView
    from chunkcrawl.watcher import Watcher

__all__ = [
    "Agent",
    "Api",
    "Blocked",
    "ChunkGone",
    "ChunkcrawlError",
    "CommandFailed",
    "CommandRefused",
    "HistoryEntry",
    "OutcomeUnknown",
    "TakenOver",
    "Watcher",
    "WorldView",
    "default_base",
]

_HOMES: Final = {
    "Agent": "chunkcrawl.agent",
    "Api": "chunkcrawl.transport.http",
    "HistoryEntry": "chunkcrawl.transport.history",
    "WorldView": "chunkcrawl.view.world_view",
    "Watcher": "chunkcrawl.watcher",
    "default_base": "chunkcrawl.transport.address",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "chunkcrawl.errors")), name)
