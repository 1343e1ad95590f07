"""What there is to go to in a loaded chunk, for scripts and for digging."""

from __future__ import annotations

import numpy as np

from chunkcrawl_env.planes import BESIDE, BOUNDARY
from world.chunk import Chunk
from world.nodes import Node


class ChunkSites:
    """The places of a chunk; made once, when it is loaded."""

    __slots__ = ("_around", "_beside", "chunk", "doors", "inner", "row")

    def __init__(self, chunk: Chunk, row: int) -> None:
        self.chunk = chunk
        #: Its row in the planes.
        self.row = row
        floor = np.frombuffer(chunk.floor, dtype=np.uint8) == 1
        #: Floor cells of the boundary, and all others.
        self.doors: list[int] = np.flatnonzero(floor & BOUNDARY).tolist()
        self.inner: list[int] = np.flatnonzero(floor & ~BOUNDARY).tolist()
        #: Where each node can be dug from.
        self._beside = [
            (node, [int(c) for c in BESIDE[:, node.cell] if chunk.ground[c]]) for node in chunk.nodes.values()
        ]
        self._around: dict[int, list[Node]] = {}
        for node in chunk.nodes.values():
            for cell in {node.cell, *BESIDE[:, node.cell].tolist()}:
                self._around.setdefault(cell, []).append(node)

    def node_at(self, cell: int) -> Node | None:
        """Return the first node with gold that can be dug from a cell; None when there is none."""
        return next((node for node in self._around.get(cell, ()) if node.state == "available"), None)

    def beside_gold(self) -> list[int]:
        """Return the free cells from which there is something to dig now."""
        walk = self.chunk.walk
        return [c for node, cells in self._beside if node.state == "available" for c in cells if walk[c]]
