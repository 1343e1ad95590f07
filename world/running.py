"""An accepted command on its way to its one result: what all commands have in common while they run.

What a single command is and does stands in its module of ``world.commands``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from world.ids import ChunkId, Direction, HandoffId, ServerCmdId, Tick
from world.inputs import Denied
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
        """Return the ticket of a recorded command."""
        return cls(record.server_cmd_id, record.client_cmd_id, record.trace_id, record.started_tick, record.order)

    @property
    def fields(self) -> tuple[ServerCmdId, str, str, Tick, int]:
        """Its values in the order in which a ``RunningCommand`` takes them."""
        return self.server_cmd_id, self.client_cmd_id, self.trace_id, self.started_tick, self.order


@dataclass(slots=True)
class Handoff:
    """A request for a cell in another shard's chunk."""

    id: HandoffId
    to_chunk: ChunkId
    #: The arrival cell, in the destination.
    cell: int
    asked_at: Tick
    asks: int = 0
    granted: bool = False
    until: Tick | None = None
    denied: Denied | None = None


@dataclass(slots=True)
class Crossing:
    """The last step of a walk, which leaves the chunk; ``world.crossing`` carries it out."""

    #: The ticket of the walk.
    ticket: Ticket
    side: Direction
    #: The boundary cell that the step enters.
    door: int
    #: Whether that step is the next one.
    at_door: bool = False
    #: Tick of the first step for which it stood at the boundary and could not go.
    waiting_since: Tick | None = None
    handoff: Handoff | None = None
    #: Why no neighbour could be made (may be empty); None: nobody said so.
    no_neighbor: str | None = None


@dataclass(slots=True)
class Running(ABC):
    """A command that has been accepted and has no result yet; one subclass for each kind of command."""

    KIND: ClassVar[str] = ""

    ticket: Ticket

    @property
    def kind(self) -> str:
        """``type`` of the command on the wire."""
        return self.KIND

    @property
    def crossing(self) -> Crossing | None:
        """The crossing that it ends with; None for what stays in the chunk."""
        return None

    @abstractmethod
    def details(self, cell: int) -> dict[str, Any]:
        """Return what is kept of it besides the ticket, as plain JSON; ``cell`` is where its agent stands."""

    @abstractmethod
    def asked(self) -> dict[str, Any]:
        """Return the command's own fields as it was sent, without its ``type``."""

    def result_fields(self) -> dict[str, Any]:
        """Return what its result says besides how and when it ended."""
        return {}

    def to_record(self, cell: int) -> RunningCommand:
        """Return what is kept of it while its agent stands on ``cell``."""
        return RunningCommand(self.KIND, *self.ticket.fields, details=self.details(cell))


@dataclass(slots=True)
class Ending(Running):
    """A recorded command that does not go on: all that is left of it is its result."""

    recorded_kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    recorded_asked: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``type`` of the command that ends."""
        return self.recorded_kind

    def details(self, cell: int) -> dict[str, Any]:
        """Return nothing: it ends before anything of it is kept."""
        del cell
        return {}

    def asked(self) -> dict[str, Any]:
        """Return what the command's kind reads out of its record."""
        return self.recorded_asked

    def result_fields(self) -> dict[str, Any]:
        """Return what the command's kind says of its record."""
        return self.fields
