"""Who stands in a chunk: agents, and creatures that nobody plays."""

from __future__ import annotations

from typing import Any, Literal

from world.grid import X_OF, Y_OF, index_of
from world.ids import ChunkId, ServerCmdId, Tick
from world.inputs import Decision, Occupant
from world.records import AgentRecord, NpcRecord
from world.running import Running

ActivityState = Literal["idle", "moving", "harvesting"]


class Actor:
    """An agent in the world."""

    __slots__ = ("cell", "chunk_id", "decided", "gold", "id", "kind", "name", "running", "shown", "state")

    def __init__(self, record: AgentRecord, chunk_id: ChunkId, cell: int) -> None:
        self.id = record.agent_id
        self.name = record.name
        self.gold = record.gold
        self.kind = record.kind
        self.running: Running | None = None
        self.state: ActivityState = "idle"
        # Of commands decided elsewhere only the ids are known.
        self.decided: dict[ServerCmdId, Decision] = {one: Decision(accepted=False) for one in record.recent}
        self.place(chunk_id, cell)

    def place(self, chunk_id: ChunkId, cell: int) -> None:
        """Stand on a cell (the chunk's books are kept by ``Chunk``)."""
        self.chunk_id = chunk_id
        self.cell = cell
        self.show()

    def show(self) -> None:
        """Have ``view`` made anew when it is next asked for."""
        #: ``view`` as made last; None once something has changed.
        self.shown: dict[str, Any] | None = None

    @property
    def view(self) -> dict[str, Any]:
        """Its entry in deltas: made once for each change, replaced and never changed."""
        view = self.shown
        if view is None:
            cell = self.cell
            view = {"id": self.id, "x": X_OF[cell], "y": Y_OF[cell], "activity_state": self.state}
            if self.name:
                view["name"] = self.name
            self.shown = view
        return view

    def occupant(self) -> Occupant:
        """Return who this is, as the ``blocker`` of an ack or result."""
        return Occupant(self.id, X_OF[self.cell], Y_OF[self.cell])

    def to_record(self, tick: Tick, chunk_id: ChunkId | None = None, cell: int | None = None) -> AgentRecord:
        """Return its record at ``tick``, as if it were at ``chunk_id`` and ``cell`` where they are given."""
        place = self.cell if cell is None else cell
        return AgentRecord(
            agent_id=self.id,
            chunk_id=chunk_id or self.chunk_id,
            x=X_OF[place],
            y=Y_OF[place],
            name=self.name,
            gold=self.gold,
            kind=self.kind,
            running=self.running.to_record(place) if self.running else None,
            recent=tuple(self.decided),
            at=tick,
        )


class Npc:
    """A creature; ``view`` is its entry in deltas: replaced on change, never changed."""

    __slots__ = ("cell", "id", "kind", "view")

    def __init__(self, record: NpcRecord) -> None:
        self.id = record.id
        self.kind = record.kind
        self.place(index_of(record.x, record.y))

    def place(self, cell: int) -> None:
        """Stand on a cell."""
        self.cell = cell
        self.view = {"id": self.id, "x": X_OF[cell], "y": Y_OF[cell], "kind": self.kind}

    def occupant(self) -> Occupant:
        """Return who this is, as the ``blocker`` of an ack or result."""
        return Occupant(self.id, X_OF[self.cell], Y_OF[self.cell])

    def to_record(self) -> NpcRecord:
        """Return its record."""
        return NpcRecord(self.id, X_OF[self.cell], Y_OF[self.cell], self.kind)


Body = Actor | Npc
