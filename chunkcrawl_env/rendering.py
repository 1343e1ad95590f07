"""A chunk as text and as a picture."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from chunkcrawl_env.palette import TOKENS, Colour, Theme, agent_colour, rgb
from world.chunk import Chunk
from world.grid import SIDE_OF, X_OF, Y_OF

RenderMode = Literal["ansi", "rgb_array"]
RENDER_MODES: Final = ("ansi", "rgb_array")
#: Pictures a second at which an episode looks as it would live.
RENDER_FPS: Final = 5
#: Pixels of a cell's side.
CELL_PX: Final = 10


def draw_text(chunk: Chunk) -> str:
    """Return 50 lines of 50 signs, the north first: ``#`` wall, ``.`` floor, ``$`` gold, ``o`` a node that grows back.

    Learners and other agents are ``@`` and ``a``, creatures ``n``.
    """
    rows = [list(tiles) for tiles in chunk.terrain.tiles]
    for node in chunk.nodes.values():
        rows[Y_OF[node.cell]][X_OF[node.cell]] = "$" if node.state == "available" else "o"
    for npc in chunk.npcs:
        rows[Y_OF[npc.cell]][X_OF[npc.cell]] = "n"
    for actor in chunk.ordered:
        rows[Y_OF[actor.cell]][X_OF[actor.cell]] = "@" if actor.id.startswith("agent_") else "a"
    return "\n".join("".join(row) for row in reversed(rows)) + "\n"


def draw_picture(chunk: Chunk, *, theme: Theme = "light", cell_px: int = CELL_PX) -> NDArray[np.uint8]:
    """Return a picture of shape (50 cell_px, 50 cell_px, 3), RGB, the north above: agents round, creatures diamonds."""
    colours = {name: rgb(text) for name, text in TOKENS[theme].items()}
    ground = np.where(chunk.terrain.floor[..., None], colours["floor"], colours["rock"])
    picture = np.repeat(np.repeat(ground.astype(np.uint8), cell_px, axis=0), cell_px, axis=1)
    canvas = _Canvas(picture, cell_px)
    canvas.lines(chunk.terrain.floor, colours["floor-line"])
    for cell in np.flatnonzero(chunk.terrain.floor):
        if SIDE_OF[cell] is not None:
            canvas.edge(int(cell), colours["door"])
    for node in chunk.nodes.values():
        left = node.state == "available"
        canvas.shape(node.cell, canvas.hexagon, colours["gold" if left else "spent"])
    for npc in chunk.npcs:
        canvas.shape(npc.cell, canvas.diamond, colours["npc"])
    for actor in chunk.ordered:
        canvas.shape(actor.cell, canvas.disc, colours["outline"])
        canvas.shape(actor.cell, canvas.inner_disc, agent_colour(actor.id))
    return np.ascontiguousarray(picture[::-1])


class _Canvas:
    """A picture with south above, as arrays are; shapes are masks of one cell."""

    def __init__(self, picture: NDArray[np.uint8], cell_px: int) -> None:
        self._picture = picture
        self._px = cell_px
        middle = (cell_px - 1) / 2
        down, right = np.mgrid[0:cell_px, 0:cell_px]
        away = np.hypot(down - middle, right - middle) / (cell_px / 2)
        self.disc = away <= 1.0
        self.inner_disc = away <= 0.78
        across, along = np.abs(right - middle) / (cell_px / 2), np.abs(down - middle) / (cell_px / 2)
        self.diamond = across + along <= 0.95
        self.hexagon = (along <= 0.87) & (across + along / 2 <= 1.0)

    def shape(self, cell: int, mask: NDArray[np.bool_], colour: Colour) -> None:
        """Fill the mask on a cell."""
        self._square(cell)[mask] = colour

    def edge(self, cell: int, colour: Colour) -> None:
        """Draw the side of a boundary cell by which one leaves."""
        square, width = self._square(cell), max(1, self._px // 5)
        side = SIDE_OF[cell]
        upright = square if side in ("S", "N") else square.swapaxes(0, 1)
        edge = upright[:width] if side in ("S", "W") else upright[-width:]
        edge[:] = colour

    def lines(self, floor: NDArray[np.bool_], colour: Colour) -> None:
        """Draw the south and west side of each floor cell."""
        wide = np.repeat(np.repeat(floor, self._px, axis=0), self._px, axis=1)
        grid = np.zeros_like(wide)
        grid[:: self._px] = True
        grid[:, :: self._px] = True
        self._picture[grid & wide] = colour

    def _square(self, cell: int) -> NDArray[np.uint8]:
        px = self._px
        return self._picture[Y_OF[cell] * px : (Y_OF[cell] + 1) * px, X_OF[cell] * px : (X_OF[cell] + 1) * px]
