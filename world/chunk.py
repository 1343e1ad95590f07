"""One loaded chunk: its ground, who stands where, and the planning of paths on it.

A cell holds at most one of: an agent, a creature, a reservation.  Reservations are for arrivals, and
arrivals are on boundary cells, so walking inside the chunk has only bodies to look at.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np
from tcod.path import AStar

from world.actors import Actor, Body, Npc
from world.grid import SIDE_OF, STEP, WIDTH, X_OF, Y_OF, distance
from world.ids import AgentId, ChunkId, Direction, HandoffId, NodeId, Tick
from world.inputs import Obstacle, Occupant
from world.nodes import Node
from world.records import ChunkRecord
from world.terrain import Terrain

_INNER: Final = np.array([side is None for side in SIDE_OF], dtype=np.bool_)
_ONE_STEP: Final = tuple(STEP.values())
_by_id = attrgetter("id")


@dataclass(frozen=True, slots=True)
class Reservation:
    """A cell kept for an arrival."""

    handoff_id: HandoffId
    agent_id: AgentId


class Chunk:
    """The state of one chunk."""

    __slots__ = (
        "_planner",
        "asked_collect",
        "changed",
        "entry",
        "events",
        "floor",
        "ground",
        "id",
        "idle_since",
        "members",
        "neighbors",
        "nodes",
        "npcs",
        "number",
        "occupants",
        "ordered",
        "pinned",
        "reserved",
        "resources",
        "shown_at",
        "terrain",
        "walk",
        "wanted",
    )

    def __init__(self, record: ChunkRecord, terrain: Terrain) -> None:
        self.id: ChunkId = record.chunk_id
        self.number = record.number
        self.entry = record.entry
        self.pinned = record.pinned
        self.neighbors = dict(record.neighbors)
        self.idle_since = record.idle_since
        #: The tick of the last ``CollectWanted``.
        self.asked_collect = Tick(0)
        self.terrain = terrain
        #: One byte a cell, by index: 1 floor, 0 wall.
        self.floor: Final = terrain.floor.tobytes()
        #: 1 where one can walk when nobody is there: inner floor cells.
        self.ground: Final = (terrain.floor.ravel() & _INNER).tobytes()
        #: 1 where one can walk now.  The planner reads it as its array of costs.
        self.walk: Final = bytearray(self.ground)
        self._planner: AStar | None = None
        self.occupants: dict[int, Body] = {}
        self.reserved: dict[int, Reservation] = {}
        self.members: dict[AgentId, Actor] = {}
        #: The members by id, the order of a delta's agents.
        self.ordered: list[Actor] = []
        self.npcs: list[Npc] = []
        self.nodes: dict[NodeId, Node] = {}
        self.resources: list[dict[str, Any]] = []
        #: Sides for which a neighbour was asked for, and when.
        self.wanted: dict[Direction, Tick] = {}
        self.events: list[dict[str, Any]] = [dict(event) for event in record.events]
        self.changed = False
        #: The tick of its last delta, or a later one.
        self.shown_at = record.tick
        self._restore_nodes(record)

    def _restore_nodes(self, record: ChunkRecord) -> None:
        kept = {node.node_id: node for node in record.nodes}
        for spec in self.terrain.nodes:
            node = Node(self.id, spec)
            if node.id in kept:
                node.restore(kept[node.id])
            self.nodes[node.id] = node
        self.show_resources()

    # -- who is where --

    def seat(self, actor: Actor) -> None:
        """Take in an agent that has been placed on a free cell of this chunk."""
        self.members[actor.id] = actor
        insort(self.ordered, actor, key=_by_id)
        self._occupy(actor, actor.cell)

    def unseat(self, actor: Actor) -> None:
        """Let an agent go."""
        del self.members[actor.id]
        del self.ordered[bisect_left(self.ordered, actor.id, key=_by_id)]
        self._vacate(actor.cell)

    def step(self, actor: Actor, cell: int) -> None:
        """Move an agent to a free inner cell."""
        old = actor.cell
        walk = self.walk
        del self.occupants[old]
        walk[old] = self.ground[old]
        self.occupants[cell] = actor
        walk[cell] = 0
        actor.cell = cell
        actor.show()

    def add_npc(self, npc: Npc) -> None:
        """Take in a creature that stands on a free cell."""
        self.npcs.append(npc)
        self._occupy(npc, npc.cell)

    def step_npc(self, npc: Npc, cell: int) -> None:
        """Move a creature to a free inner cell."""
        self._vacate(npc.cell)
        npc.place(cell)
        self._occupy(npc, cell)

    def _occupy(self, body: Body, cell: int) -> None:
        self.occupants[cell] = body
        self.walk[cell] = 0

    def _vacate(self, cell: int) -> None:
        del self.occupants[cell]
        self.walk[cell] = self.ground[cell]

    def in_the_way(self, cell: int, handoff_id: HandoffId | None = None) -> Occupant | None:
        """Return who keeps an arrival off this cell: a body, or another arrival than ``handoff_id``."""
        body = self.occupants.get(cell)
        if body is not None:
            return body.occupant()
        reservation = self.reserved.get(cell)
        if reservation is None or reservation.handoff_id == handoff_id:
            return None
        return Occupant(reservation.agent_id, X_OF[cell], Y_OF[cell])

    def free_for_arrival(self, cell: int, handoff_id: HandoffId) -> bool:
        """Return whether an arrival can be seated on this cell."""
        return bool(self.floor[cell]) and self.in_the_way(cell, handoff_id) is None

    # -- paths --

    def plan(self, start: int, target: int) -> list[int] | None:
        """Return the cells from ``start`` to ``target``, the next one last; None when there is no way.

        Others are obstacles where they stand now; boundary cells are entered only as the target.
        ``start`` itself is not in the path, except that a boundary cell as its own target is one step:
        it leaves the chunk.
        """
        leaves = SIDE_OF[target] is not None
        if target == start:
            return [target] if leaves else []
        if not self.floor[target] or target in self.occupants:
            return None
        if abs(target - start) in _ONE_STEP and distance(start, target) == 1:
            return [target]  # most moves of whoever goes step by step: nothing to search for
        if self._planner is None:
            costs = np.frombuffer(self.walk, dtype=np.uint8).reshape(WIDTH, WIDTH)
            self._planner = AStar(costs, diagonal=0)
        walk = self.walk
        if leaves:
            walk[target] = 1
        # The array is indexed [y, x], and so are the planner's points.
        points = self._planner.get_path(Y_OF[start], X_OF[start], Y_OF[target], X_OF[target])
        if leaves:
            walk[target] = 0
        return [y * WIDTH + x for y, x in reversed(points)] or None

    def obstacle(self, start: int, target: int) -> Obstacle:
        """Return why ``plan`` found no way: what is on the target, or the first body that can't be got round."""
        if not self.floor[target]:
            return Obstacle(X_OF[target], Y_OF[target], "wall")
        body = self.occupants.get(target)
        if body is not None:
            return Obstacle(X_OF[target], Y_OF[target], "occupied", body.occupant())
        # Going round is cheaper than passing through anybody, so whoever is met first can't be got round.
        costs = np.frombuffer(self.ground, dtype=np.uint8).astype(np.int32)
        costs[target] = 1
        costs[[cell for cell in self.occupants if self.ground[cell]]] = WIDTH * WIDTH
        points = AStar(costs.reshape(WIDTH, WIDTH), diagonal=0).get_path(
            Y_OF[start], X_OF[start], Y_OF[target], X_OF[target]
        )
        met = next((cell for y, x in points if (cell := y * WIDTH + x) in self.occupants), None)
        if met is None:
            return Obstacle(X_OF[target], Y_OF[target], "no_way")
        return Obstacle(X_OF[met], Y_OF[met], "no_way", self.occupants[met].occupant())

    def forget_planner(self) -> None:
        """Free the planner's memory (some 30 kB); it is made again when needed."""
        self._planner = None

    # -- what it shows and keeps --

    def show_resources(self) -> None:
        """Renew the list of nodes in deltas."""
        self.resources = [node.view for node in self.nodes.values()]

    def payload(self, tick: Tick, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a ``chunk_delta``'s payload: the whole present state of the moving things."""
        return {
            "chunk_id": self.id,
            "tick": tick,
            "agents": [actor.shown or actor.view for actor in self.ordered],
            "npcs": [npc.view for npc in self.npcs],
            "resources": self.resources,
            "events": events,
        }

    def to_record(self, tick: Tick) -> ChunkRecord:
        """Return its record at ``tick``."""
        return ChunkRecord(
            chunk_id=self.id,
            number=self.number,
            entry=self.entry,
            pinned=self.pinned,
            neighbors=dict(self.neighbors),
            tick=tick,
            nodes=tuple(node.to_record() for node in self.nodes.values()),
            npcs=tuple(npc.to_record() for npc in self.npcs),
            idle_since=self.idle_since,
            events=tuple(self.events),
        )
