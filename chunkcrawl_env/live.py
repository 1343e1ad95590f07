"""What a policy needs to play in a live world: the same arrays and commands as in training.

It reads the SDK's view of a chunk (``agent.view``) by its attributes and imports nothing of the SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from chunkcrawl_env.actions import ActionCodes
from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.observations import ACTIVITIES, observe
from chunkcrawl_env.planes import Planes
from world.grid import index_of

_MOVING: Final = ACTIVITIES.index("moving")


class _LiveNode(Protocol):
    """A gold node, as the SDK's ``GoldNode``."""

    @property
    def node_id(self) -> str: ...
    @property
    def x(self) -> int: ...
    @property
    def y(self) -> int: ...
    @property
    def remaining(self) -> int: ...
    @property
    def available(self) -> bool: ...


class _LiveBody(Protocol):
    """An agent or creature, as the SDK's ``AgentView`` and ``NpcView``."""

    @property
    def x(self) -> int: ...
    @property
    def y(self) -> int: ...


class _LiveChunk(Protocol):
    """A chunk with one's own agent in it, as the SDK's ``WorldView``."""

    chunk_id: str | None
    grid: list[list[int]]

    @property
    def gold(self) -> Mapping[str, _LiveNode]: ...
    @property
    def agents(self) -> Mapping[str, Any]: ...
    @property
    def npcs(self) -> Mapping[str, _LiveBody]: ...
    @property
    def me(self) -> Any: ...


class LiveEyes:
    """Turns what an agent of a live world sees into observations, and actions into commands.

    Args:
        config: What the policy was trained with.
    """

    def __init__(self, config: EnvConfig) -> None:
        self._config = config
        self._codes = ActionCodes(config)
        self._planes = Planes(config.radius, ways=config.observation == "features")
        self._row: int | None = None
        self._shown: tuple[str | None, tuple[str, ...]] = (None, ())

    def observe(self, view: _LiveChunk) -> NDArray[Any]:
        """Return what the agent sees now, as in training.

        Raises:
            LookupError: the agent is not in the world, or its chunk is not known yet (wait for ``view.ready``).
        """
        rows, cells, activities = self._look(view)
        result: NDArray[Any] = observe(self._config, self._planes, rows, cells, activities)[0]
        return result

    def mask(self, view: _LiveChunk) -> NDArray[np.int8]:
        """Return which actions can be done now, as in training.  Raises ``LookupError`` as ``observe``."""
        rows, cells, activities = self._look(view)
        result: NDArray[np.int8] = self._codes.masks(self._planes, rows, cells, activities == _MOVING)[0]
        return result

    def command(self, view: _LiveChunk, action: int) -> dict[str, Any] | None:
        """Return an action's command, for ``agent.command``; None: wait.  Raises ``LookupError`` as ``observe``."""
        rows, cells, activities = self._look(view)
        if activities[0] == _MOVING or action == self._codes.wait:
            return None
        if action != self._codes.dig:
            return self._codes.command(action, int(cells[0]))
        number = int(self._planes.in_reach(rows, cells)[0])
        if number < 0 or ACTIVITIES[activities[0]] == "harvesting":
            return None
        return {"type": "harvest", "node_id": list(view.gold)[number]}

    def _look(self, view: _LiveChunk) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Bring the arrays up to date; returns row, cell and activity of the agent, each an array of one."""
        if not view.grid or view.me is None:
            raise LookupError("the agent's chunk is not known yet: wait for view.ready")
        nodes = list(view.gold.values())
        row = self._take_in(view, nodes)
        for number, node in enumerate(nodes):
            self._planes.set_gold(row, number, node.remaining if node.available else 0)
        self._planes.set_agents(*_places(row, view.agents))
        self._planes.set_creatures(*_places(row, view.npcs))
        cell = index_of(view.me.x, view.me.y)
        activity = ACTIVITIES.index(view.me.activity_state)
        return np.array([row]), np.array([cell]), np.array([activity])

    def _take_in(self, view: _LiveChunk, nodes: list[_LiveNode]) -> int:
        shown = (view.chunk_id, tuple(node.node_id for node in nodes))
        if self._row is None or shown != self._shown:
            if self._row is not None:
                self._planes.remove(self._row)
            floor = np.array(view.grid) == 0
            self._row, self._shown = self._planes.add(floor, [index_of(node.x, node.y) for node in nodes]), shown
        return self._row


def _places(row: int, bodies: Mapping[str, _LiveBody]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    cells = np.array([index_of(body.x, body.y) for body in bodies.values()], dtype=np.intp)
    return np.full(len(cells), row, dtype=np.intp), cells
