"""What an agent is doing: an accepted command on its way to its one result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from world.grid import STEP_LETTER, X_OF, Y_OF
from world.ids import ChunkId, Direction, HandoffId, NodeId, ServerCmdId, Tick
from world.inputs import Denied
from world.nodes import Node
from world.records import RunningCommand


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an accepted command is known by, whatever it does."""

    server_cmd_id: ServerCmdId
    client_cmd_id: str
    trace_id: str
    started_tick: Tick
    order: int

    @classmethod
    def of(cls, record: RunningCommand) -> Ticket:
        """The ticket of a recorded command."""
        return cls(record.server_cmd_id, record.client_cmd_id, record.trace_id, record.started_tick, record.order)

    @property
    def fields(self) -> tuple[ServerCmdId, str, str, Tick, int]:
        """In the order in which a ``RunningCommand`` takes them."""
        return self.server_cmd_id, self.client_cmd_id, self.trace_id, self.started_tick, self.order


@dataclass(slots=True)
class Handoff:
    """A request for a cell in another shard's chunk."""

    id: HandoffId
    to_chunk: ChunkId
    cell: int
    """The arrival cell, in the destination."""
    asked_at: Tick
    asks: int = 0
    granted: bool = False
    until: Tick | None = None
    denied: Denied | None = None


@dataclass(slots=True)
class Moving:
    """On the way to a cell."""

    ticket: Ticket
    target: int
    side: Direction | None
    """The side on which the last step leaves the chunk; None when the target is an inner cell."""
    path: list[int]
    """The cells still to step on, the next one last."""
    waiting_since: Tick | None = None
    """Tick of the first step for which it stood at the boundary and could not go."""
    handoff: Handoff | None = None
    no_neighbor: str | None = None
    """Why no neighbour could be made (may be empty); None: nobody said so."""

    def to_record(self, cell: int) -> RunningCommand:
        """What is kept of it; ``cell`` is where the agent stands."""
        letters = []
        here = cell
        for there in reversed(self.path):
            letters.append(STEP_LETTER.get(there - here, ""))
            here = there
        return RunningCommand(
            "move_to",
            *self.ticket.fields,
            target=(X_OF[self.target], Y_OF[self.target]),
            origin=(X_OF[cell], Y_OF[cell]),
            path="".join(letters),
        )


@dataclass(slots=True)
class Harvesting:
    """Digging at a node."""

    ticket: Ticket
    node: Node
    due: Tick
    """The tick from which on the next unit comes."""
    harvested: int = 0

    def to_record(self, cell: int) -> RunningCommand:
        """What is kept of it."""
        del cell  # part of a walk only
        return RunningCommand(
            "harvest",
            *self.ticket.fields,
            node_id=self.node.id,
            due_tick=self.due,
            harvested=self.harvested,
        )


@dataclass(slots=True)
class Saying:
    """About to be heard in the next step."""

    ticket: Ticket
    text: str

    def to_record(self, cell: int) -> RunningCommand:
        """What is kept of it."""
        del cell
        return RunningCommand("say", *self.ticket.fields, text=self.text)


Activity = Moving | Harvesting | Saying


def harvest_fields(node_id: NodeId | None, units: int) -> dict[str, Any]:
    """What the result of a harvest says besides how it ended: where, and the units that this command took."""
    return {"node_id": node_id, "amount": units, "harvested": units}
