"""What comes of inputs and steps (``ShardWorld.take``): one ``Output`` is one commit.

Shared events (a chunk's delta, the same for everyone) and private ones (for an agent and its owner) are
different types, so that none can be published in the other's place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from world.ids import AgentId, ChunkId, Direction, HandoffId, Tick
from world.records import AgentRecord, ChunkRecord

PrivateKind = Literal["command_ack", "command_result", "chunk_transition", "agent_private_delta"]


@dataclass(frozen=True, slots=True)
class ChunkDelta:
    """Shared: the present state of a chunk's moving things, and the events of one tick.

    Contract: "What the world shows".  The payload is shared with the world's caches: encode it, never change it.
    """

    chunk_id: ChunkId
    tick: Tick
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PrivateEvent:
    """Private: for one agent and its owner, in the order of the list it is in."""

    agent_id: AgentId
    kind: PrivateKind
    payload: dict[str, Any]
    trace_id: str


@dataclass(frozen=True, slots=True)
class Departure:
    """An agent has left this shard for a reserved cell; ``record`` already has the destination's chunk and cell."""

    handoff_id: HandoffId
    record: AgentRecord
    from_chunk: ChunkId
    to_chunk: ChunkId
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class NeighborWanted:
    """Somebody is walking to a side without neighbour.  Answers: ``Linked`` or ``NoNeighbor``."""

    chunk_id: ChunkId
    direction: Direction


@dataclass(frozen=True, slots=True)
class ReserveWanted:
    """An agent stands before its last step into another shard's chunk.  Answers: ``Granted`` or ``Denied``."""

    handoff_id: HandoffId
    agent_id: AgentId
    from_chunk: ChunkId
    to_chunk: ChunkId
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class ReleaseWanted:
    """A cell that was asked for is not needed any more (``Release`` at its shard).  No answer."""

    handoff_id: HandoffId
    to_chunk: ChunkId


@dataclass(frozen=True, slots=True)
class CollectWanted:
    """A chunk may be collected.  Answers: ``Close``, or ``Keep`` when the graph says otherwise."""

    chunk_id: ChunkId


Request = NeighborWanted | ReserveWanted | ReleaseWanted | CollectWanted


@dataclass(slots=True)
class Output:
    """Everything that came of a shard's world since the last ``take``."""

    #: The last tick stepped.
    tick: Tick
    deltas: list[ChunkDelta] = field(default_factory=list)
    private: list[PrivateEvent] = field(default_factory=list)
    #: Records changed in what deltas don't show.  An agent that left is in here once more, with its last state; one
    #: that departed is not (see ``departures``).
    agents: dict[AgentId, AgentRecord] = field(default_factory=dict)
    #: Chunks whose hidden state changed.
    chunks: dict[ChunkId, ChunkRecord] = field(default_factory=dict)
    #: Chunks whose ``chunk_static`` changed or is new.
    statics: list[ChunkId] = field(default_factory=list)
    #: (chunk, agent, joined) in order; a crossing is a leaving and a joining.
    members: list[tuple[ChunkId, AgentId, bool]] = field(default_factory=list)
    departures: list[Departure] = field(default_factory=list)
    closed: list[ChunkId] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    #: Facts for the event log: ``fact`` (crossing, result, harvest, give, regenerated, chat, join, leave), ``tick``,
    #: ``chunk_id``, ``agent_id`` and what else belongs to them.
    archive: list[dict[str, Any]] = field(default_factory=list)
