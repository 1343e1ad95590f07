"""What a shard's world can be told between ticks (``ShardWorld.apply``), and what it answers.

Every input is a frozen value, so that a run can be recorded and run again (``world.recording``).
Inputs never raise for what they carry; what is not possible is answered with a ``Refusal``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from world.ids import AgentId, ChunkId, Direction, HandoffId, ServerCmdId, Tick
from world.records import AgentRecord, ChunkRecord

# -- answers --


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a submitted command.

    The ``command_ack`` is in the next ``Output`` unless ``duplicate`` or ``moved``.
    """

    accepted: bool
    reason: str | None = None
    retry_after_ms: int | None = None
    started_tick: Tick | None = None
    #: This id was decided before and its ack has been given; the other fields are those of the first decision where
    #: they are still known (else not accepted and no reason).  Nothing happened now.
    duplicate: bool = False
    #: This shard does not hold that agent.  Nothing happened; ask where it is now.
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Occupant:
    """Who stands in the way: id and cell."""

    id: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why there is no way to a cell: ``detail`` says what, the cell says where, ``by`` who, if anybody.

    ``wall``: the target is one.  ``occupied``: ``by`` stands on the target.  ``no_way``: ``by`` is the first on the
    way there that can't be got round (None: there is no way even without the others, and the cell is the target).
    """

    x: int
    y: int
    detail: Literal["wall", "occupied", "no_way"]
    by: Occupant | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that was not carried out, by a stable reason code.

    ``chunk_not_here``, ``agent_not_here``: another shard has it.  ``chunk_full``: no place for one more.
    ``not_empty``: a chunk with agents or reservations can't be closed.  ``already_here``: loaded before.
    ``obstacle`` comes with ``unreachable``.
    """

    reason: str
    obstacle: Obstacle | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Carried out, or nothing left to do."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The cell on which the agent stands now."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """Whether the cell is kept for the arrival; if not, who has it (None: nobody, it is a wall)."""

    ok: bool
    blocker: Occupant | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A chunk given away, whole: what ``Load`` takes."""

    record: ChunkRecord
    agents: list[AgentRecord]


# -- agents --


@dataclass(frozen=True, slots=True)
class Submit:
    """A command of an agent; ``cmd`` is parsed JSON from outside and may be anything.  Answer: ``Decision``."""

    agent_id: AgentId
    server_cmd_id: ServerCmdId
    client_cmd_id: str
    cmd: object
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """Seats an agent on a free cell, close to ``near`` or to the chunk's centre.

    Answer: ``Joined``, or ``Refusal`` (``chunk_not_here``, ``chunk_full``).  An agent that is already in this
    shard stays where it is and that cell is the answer.  A command that its record still shows as running ends
    ``failed(disconnected)``.
    """

    record: AgentRecord
    chunk_id: ChunkId
    near: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """Takes an agent out of the world.

    Its running command ends ``failed(disconnected)`` first.  Answer: its ``AgentRecord`` (also in the
    ``Output``), or ``Refusal("agent_not_here")``.
    """

    agent_id: AgentId


# -- chunks --


@dataclass(frozen=True, slots=True)
class Load:
    """Gives this shard a chunk with the agents in it.  Answer: ``Done`` or ``Refusal("already_here")``.

    Running commands go on where they were.  The world's tick rises to the record's if it is behind.
    """

    record: ChunkRecord
    agents: list[AgentRecord]


@dataclass(frozen=True, slots=True)
class Drop:
    """Takes a chunk from this shard without ending anything.  Answer: ``Dropped`` or ``Refusal("chunk_not_here")``.

    Best right after ``step`` and ``take``.
    """

    chunk_id: ChunkId


@dataclass(frozen=True, slots=True)
class Close:
    """Removes a collected chunk.  Answer: ``Done``, or ``Refusal`` (``chunk_not_here``, ``not_empty``)."""

    chunk_id: ChunkId


@dataclass(frozen=True, slots=True)
class Keep:
    """The cluster declines a ``CollectWanted``: the chunk's idle time starts anew.  Answer: ``Done`` or ``Refusal``."""

    chunk_id: ChunkId


@dataclass(frozen=True, slots=True)
class Linked:
    """The chunk has a neighbour on that side.  Answer: ``Done`` or ``Refusal("chunk_not_here")``.

    Saying it twice is harmless.
    """

    chunk_id: ChunkId
    direction: Direction
    neighbor_id: ChunkId


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The chunk has no neighbour on that side any more.  Answer: ``Done`` or ``Refusal("chunk_not_here")``."""

    chunk_id: ChunkId
    direction: Direction


@dataclass(frozen=True, slots=True)
class NoNeighbor:
    """No neighbour could be made; those waiting at that side end ``failed(blocked)`` in the next step."""

    chunk_id: ChunkId
    direction: Direction
    reason: str = ""


# -- crossings between shards --


@dataclass(frozen=True, slots=True)
class Reserve:
    """To the target shard: keep this cell for an arrival.

    Answer: ``Reserved``, or ``Refusal("chunk_not_here")``.  The cell counts as taken until ``Arrive`` or
    ``Release``.  Asking again with the same handoff gives the same answer.
    """

    handoff_id: HandoffId
    agent_id: AgentId
    chunk_id: ChunkId
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Release:
    """Tells the target shard that a reserved cell is not needed.  Unknown handoffs are ignored.  Answer: ``Done``."""

    handoff_id: HandoffId
    chunk_id: ChunkId


@dataclass(frozen=True, slots=True)
class Arrive:
    """To the target shard: the agent has left its old shard; seat it.

    Answer: ``Joined``, or ``Refusal("chunk_not_here")``.  An agent is never lost: were the cell taken (its
    reservation forgotten), the nearest free one is used.  An arrival told twice happens once.
    """

    handoff_id: HandoffId
    record: AgentRecord
    chunk_id: ChunkId
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Granted:
    """To the source shard: the cell is kept, the next step may cross.

    ``until_tick`` is the last tick in which it may (None: any); after it the cell is asked for again.
    """

    handoff_id: HandoffId
    agent_id: AgentId
    until_tick: Tick | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """To the source shard: the cell is taken; the move ends ``failed(blocked)`` in the next step."""

    handoff_id: HandoffId
    agent_id: AgentId
    blocker: Occupant | None = None


Input = (
    Submit
    | Join
    | Leave
    | Load
    | Drop
    | Close
    | Keep
    | Linked
    | Unlinked
    | NoNeighbor
    | Reserve
    | Release
    | Arrive
    | Granted
    | Denied
)
Reply = Decision | Refusal | Done | Joined | Reserved | Dropped | AgentRecord
