"""The parts of the operators' API that live as long as the gateway: figures, the map, the stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection

from api.operator.chunk_map import ChunkMap
from api.operator.chunk_table import Cells
from api.operator.feed import Feed
from api.operator.figures import Figures
from api.services import Services


class Console:
    """What the endpoints share."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.figures = Figures(services.batch, services.engine, services.bans, services.strikes, services.operating)
        self.map = ChunkMap(services.batch)
        self.feed = Feed(self.figures)

    async def marks_and_cells(self) -> tuple[dict[str, Any], Mapping[str, Cells]]:
        """Return what is frozen, pinned and moving, and the table of chunks, a second or so old."""
        await self.figures.chunks.refresh(await self.figures.status())
        return await self.figures.marks(), self.figures.chunks.cells


def console_of(connection: HTTPConnection) -> Console:
    """Return the gateway's console, made for the first who asks."""
    state = connection.app.state
    if not hasattr(state, "console"):
        state.console = Console(state.services)
    console: Console = state.console
    return console
