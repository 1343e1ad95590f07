"""A local view of the chunk that an agent stands in, or that a watcher looks at.

Pure: ``feed`` takes events in the order they came and nothing else changes it.  A delta holds the whole present state
of a chunk's moving things, so events that were lost or dropped on the way never leave the view wrong for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chunkcrawl.view.paths import STEPS, Point, distances, exit_cells, is_boundary, is_floor, manhattan, path
from chunkcrawl.wire.messages import (
    AgentView,
    ChunkClosed,
    ChunkDelta,
    ChunkStatic,
    ChunkTransition,
    Direction,
    Event,
    NodeSpec,
    NodeState,
    NpcView,
    PrivateDelta,
    ResyncRequired,
    SessionReady,
)

__all__ = ["GoldNode", "WorldView"]

STATICS_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class GoldNode:
    """A resource node: where it is and what it has left.  ``state`` is available, depleted or regenerating."""

    node_id: str
    x: int
    y: int
    remaining: int
    max_remaining: int
    state: str

    @property
    def available(self) -> bool:
        """Whether there is something to harvest."""
        return self.state == "available" and self.remaining > 0


class WorldView:
    """What is known of the present chunk.

    Attributes:
        agent_id: Whose view it is; None when nobody is followed.
        chunk_id: The present chunk, None before the first event and between a transition and its static.
        tick: Of the newest delta, -1 before the first.
        grid: Rows, ``grid[y][x]``, 0 floor and 1 wall; empty until the terrain is known.
        neighbors: Chunk ids by side N, E, S, W; None where no chunk is linked.  Empty chunks are removed after a
            minute: a side may become None, and whoever leaves by it finds a new chunk under a new id.
        lost_neighbors: Ids by side of chunks that were there and are gone.
        gone: Whether the present chunk itself was removed (for watchers; where an agent is, a chunk stays).
        agents: Everybody in the chunk by id, ``agent_id`` included.
        npcs: Creatures by id.
        inventory_gold: What the agent carries, None until told.
    """

    def __init__(self, agent_id: str | None = None) -> None:
        self.agent_id = agent_id
        self.chunk_id: str | None = None
        self.tick = -1
        self.grid: list[list[int]] = []
        self.neighbors: dict[str, str | None] = {}
        self.lost_neighbors: dict[str, str] = {}
        self.gone = False
        self.agents: dict[str, AgentView] = {}
        self.npcs: dict[str, NpcView] = {}
        self.inventory_gold: int | None = None
        self._nodes: dict[str, NodeSpec] = {}
        self._node_states: dict[str, NodeState] = {}
        self._statics: dict[str, ChunkStatic] = {}
        self._fresh = True

    # -- for feeding --

    def feed(self, event: Event) -> None:
        """Take the next event.  Events of other chunks, old ticks and unknown kinds change nothing."""
        if isinstance(event, ChunkDelta):
            self._delta(event)
        elif isinstance(event, ChunkStatic):
            self._static(event)
        elif isinstance(event, ChunkTransition):
            self._transition(event)
        elif isinstance(event, PrivateDelta):
            if event.agent_id == self.agent_id:
                self.inventory_gold = event.inventory.gold
        elif isinstance(event, SessionReady | ResyncRequired):
            # What follows is the present state, whatever its tick: a world that was restored may count lower.
            self._fresh = True
            if isinstance(event, SessionReady) and event.inventory is not None and event.agent_id == self.agent_id:
                self.inventory_gold = event.inventory.gold
        elif isinstance(event, ChunkClosed) and event.chunk_id in (None, self.chunk_id):
            self.agents, self.npcs, self.gone = {}, {}, True

    def _static(self, event: ChunkStatic) -> None:
        if event.chunk_id != self.chunk_id:
            self._enter(event.chunk_id)
        self._statics.pop(event.chunk_id, None)
        self._statics[event.chunk_id] = event
        while len(self._statics) > STATICS_KEPT:
            del self._statics[next(iter(self._statics))]
        self._terrain(event)

    def _terrain(self, static: ChunkStatic) -> None:
        self.grid = static.grid or [[int(tile == "#") for tile in row] for row in static.tiles]
        for side, chunk_id in static.neighbors.items():
            self._link(side, chunk_id)
        self._nodes = {node.node_id: node for node in static.resource_nodes}

    def _enter(self, chunk_id: str) -> None:
        self.chunk_id, self._fresh, self.gone = chunk_id, True, False
        self.grid, self.neighbors, self.lost_neighbors, self._nodes = [], {}, {}, {}
        self.agents, self.npcs, self._node_states = {}, {}, {}

    def _delta(self, event: ChunkDelta) -> None:
        if event.chunk_id != self.chunk_id or (event.tick <= self.tick and not self._fresh):
            return
        self.tick, self._fresh = event.tick, False
        self.agents = {agent.id: agent for agent in event.agents}
        self.npcs = {npc.id: npc for npc in event.npcs}
        self._node_states = {state.node_id: state for state in event.resources}
        for happened in event.events:
            side = happened.get("dir")
            if happened.get("type") == "neighbor_linked" and isinstance(side, str):
                self._link(side, happened.get("chunk_id"))
            elif happened.get("type") == "neighbor_unlinked" and isinstance(side, str):
                self._link(side, None)

    def _link(self, side: str, chunk_id: str | None) -> None:
        before, self.neighbors[side] = self.neighbors.get(side), chunk_id
        if chunk_id is not None:
            self.lost_neighbors.pop(side, None)
        elif before is not None:
            self.lost_neighbors[side] = before
        if before is not None and before != chunk_id:
            # Ids are never given out again, so nobody comes back to it.
            self._statics.pop(before, None)

    def _transition(self, event: ChunkTransition) -> None:
        # After a reconnect the present state comes first and what was missed later; an old change of chunks must not
        # lead back.  Ticks count the same time in every chunk.
        stale = event.to_chunk_id == self.chunk_id or event.tick < self.tick
        if event.agent_id != self.agent_id or stale:
            return
        activity = self.me.activity_state if self.me else "idle"
        self._enter(event.to_chunk_id)
        known = self._statics.get(event.to_chunk_id)
        if known is not None:
            self._terrain(known)
        self.agents = {event.agent_id: AgentView(event.agent_id, event.to_cell.x, event.to_cell.y, activity)}

    # -- for looking --

    @property
    def ready(self) -> bool:
        """Whether terrain and one delta of the present chunk are known."""
        return bool(self.grid) and not self._fresh

    @property
    def me(self) -> AgentView | None:
        """The agent itself, None while it is not in the world."""
        return self.agents.get(self.agent_id) if self.agent_id else None

    @property
    def position(self) -> Point | None:
        """The agent's cell ``(x, y)``, None while it is not in the world."""
        return (self.me.x, self.me.y) if self.me else None

    @property
    def others(self) -> dict[str, AgentView]:
        """Everybody else in the chunk by id."""
        return {agent_id: view for agent_id, view in self.agents.items() if agent_id != self.agent_id}

    @property
    def gold(self) -> dict[str, GoldNode]:
        """The chunk's gold nodes by id."""
        return {node_id: self._gold(spec) for node_id, spec in self._nodes.items() if spec.type == "gold"}

    def _gold(self, spec: NodeSpec) -> GoldNode:
        state = self._node_states.get(spec.node_id, NodeState(spec.node_id, spec.max_remaining))
        return GoldNode(spec.node_id, spec.x, spec.y, state.remaining, spec.max_remaining, state.state)

    @property
    def taken(self) -> set[Point]:
        """Cells that somebody or something stands on, the agent's own left out."""
        cells = {(view.x, view.y) for view in self.others.values()}
        return cells | {(npc.x, npc.y) for npc in self.npcs.values()}

    # -- for finding a way --

    def is_free(self, x: int, y: int) -> bool:
        """Return whether the cell is floor and nobody else stands there."""
        return is_floor(self.grid, x, y) and (x, y) not in self.taken

    def reachable(self) -> dict[Point, int]:
        """Return the steps to every free cell that a ``move_to`` can reach, nearest first; empty while unknown."""
        if self.position is None or not self.grid:
            return {}
        return distances(self.grid, self.position, self.taken)

    def distance(self, x: int, y: int) -> int | None:
        """Return the steps to a cell around walls and others, None when there is no way."""
        return self.reachable().get((x, y))

    def path_to(self, x: int, y: int) -> list[Point] | None:
        """Return the cells of a shortest way, the target last; None when there is none."""
        if self.position is None or not self.grid:
            return None
        return path(self.grid, self.position, (x, y), self.taken)

    def next_free(self, x: int, y: int) -> Point | None:
        """Return the reachable inner cell nearest to ``(x, y)``, itself if it is free; ties go to the shorter way."""
        inner = ((cell, steps) for cell, steps in self.reachable().items() if not is_boundary(self.grid, *cell))
        best = min(inner, key=lambda item: (manhattan(item[0], (x, y)), item[1], item[0]), default=None)
        return best[0] if best else None

    def exits(self) -> dict[Direction, list[Point]]:
        """Return the boundary cells of each open side; moving there leaves the chunk on that side."""
        return exit_cells(self.grid) if self.grid else {}

    def beside(self, node: GoldNode) -> Point | None:
        """Return the nearest reachable cell from which ``node`` can be harvested, None when there is none."""
        return self._beside(node, self.reachable())

    def around(self, node: GoldNode) -> list[Point]:
        """Return the cells from which ``node`` can be harvested, taken or out of reach included."""
        return [cell for cell in _cells_around(node) if is_floor(self.grid, *cell) and self._can_stand(cell)]

    def who_is_at(self, x: int, y: int) -> str | None:
        """Return the id of the other agent or the creature on a cell, None when there is neither."""
        agents = (view.id for view in self.others.values() if (view.x, view.y) == (x, y))
        return next(agents, None) or next((npc.id for npc in self.npcs.values() if (npc.x, npc.y) == (x, y)), None)

    def obstacle(self, x: int, y: int) -> str:
        """Return why no way leads to a cell, as one clause; empty when one does, or nothing is known."""
        if self.position is None or not self.grid or (x, y) in self.reachable():
            return ""
        if not is_floor(self.grid, x, y):
            return f"{x},{y} is a wall" if 0 <= y < len(self.grid) and 0 <= x < len(self.grid[0]) else ""
        if (who := self.who_is_at(x, y)) is not None:
            return f"{who} stands on {x},{y}"
        for cell in path(self.grid, self.position, (x, y)) or ():
            if (who := self.who_is_at(*cell)) is not None:
                return f"no free way leads there: {who} stands in it at {cell[0]},{cell[1]}"
        return "no way leads there"

    def nearest_gold(self) -> tuple[GoldNode, Point] | None:
        """Return the available node with the shortest way, and the cell to stand on; None when there is none."""
        steps = self.reachable()
        found = []
        for node in self.gold.values():
            cell = self._beside(node, steps) if node.available else None
            if cell is not None:
                found.append((steps[cell], node.node_id, node, cell))
        if not found:
            return None
        _, _, node, cell = min(found)
        return node, cell

    def _beside(self, node: GoldNode, steps: dict[Point, int]) -> Point | None:
        cells = [cell for cell in _cells_around(node) if cell in steps and self._can_stand(cell)]
        return min(cells, key=lambda cell: (steps[cell], cell), default=None)

    def _can_stand(self, cell: Point) -> bool:
        return cell == self.position or not is_boundary(self.grid, *cell)


def _cells_around(node: GoldNode) -> tuple[Point, ...]:
    """Return the cells of the chunk within one step of the node."""
    return ((node.x, node.y), *((node.x + dx, node.y + dy) for dx, dy in STEPS))
