"""What agents can do, as numbers, and the command that each number is."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.planes import BESIDE, Planes
from world.grid import CELLS, X_OF, Y_OF

#: A ``move_to`` for each cell.  Commands are shared and must not be changed.
MOVES: Final[tuple[dict[str, Any], ...]] = tuple({"type": "move_to", "x": X_OF[c], "y": Y_OF[c]} for c in range(CELLS))


class ActionCodes:
    """The numbers of a configuration's actions.

    With ``steps``: 0 waits, 1..4 go one cell to N, E, S, W, 5 digs.  With ``cells``: 0..2499 go to that cell (``y * 50
    + x``), 2500 waits, 2501 digs.  Behind them one for each of ``sayings``.

    Waiting goes on with what is under way.  Digging takes the first node within reach, and goes on when it is being dug
    already.  Whoever walks can only wait: other actions count as that.
    """

    def __init__(self, config: EnvConfig) -> None:
        stepping = config.actions == "steps"
        self.stepping = stepping
        self.wait = 0 if stepping else CELLS
        self.dig = 5 if stepping else CELLS + 1
        #: How many there are.
        self.count = self.dig + 1 + len(config.sayings)
        #: The commands that are the same wherever one stands.
        self._fixed: dict[int, dict[str, Any]] = {} if stepping else dict(enumerate(MOVES))
        for number, text in enumerate(config.sayings, start=self.dig + 1):
            self._fixed[number] = {"type": "say", "text": text}
        #: By action and cell: the commands that depend on where one stands.
        self._stepping: list[list[dict[str, Any]]] = [[MOVES[there] for there in side] for side in BESIDE.tolist()]

    def command(self, action: int, cell: int) -> dict[str, Any] | None:
        """Return the command of an action other than waiting and digging of an agent on ``cell``; None for those."""
        if self.stepping and 0 < action < self.dig:
            return self._stepping[action - 1][cell]
        return self._fixed.get(action)

    def masks(
        self, planes: Planes, rows: NDArray[np.intp], cells: NDArray[np.intp], walking: NDArray[np.bool_]
    ) -> NDArray[np.int8]:
        """Return 1 for what can be done now, shape (agents, count); a cell may be free and yet have no way to it."""
        masks = np.ones((len(rows), self.count), dtype=np.int8)
        if self.stepping:
            masks[:, 1:5] = planes.free_beside(rows, cells)
        else:
            masks[:, :CELLS] = planes.free(rows)
        masks[:, self.dig] = planes.in_reach(rows, cells) >= 0
        masks[walking] = 0
        masks[:, self.wait] = 1
        return masks
