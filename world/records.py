"""What is kept of agents and chunks outside a shard's memory: frozen values with a JSON form.

A record together with the chunk's last delta is enough to go on after a crash (``world.recovery``);
the records that ``Drop`` hands out are enough by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from world.ids import AgentId, ChunkId, Direction, NodeId, ServerCmdId, Tick

#: Version of the JSON form of agents and chunks, its field ``v``.  Not written while it is 1: that is what a record
#: without one has, and what the first release reads.
RECORD_VERSION: Final = 1

AgentKind = Literal["agent", "demo"]
NodeStatus = Literal["available", "depleted", "regenerating"]


class NewerRecord(ValueError):
    """A newer release has written this record; fields that are not known must not be lost."""


def _known(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's fields without its version.

    Raises:
        NewerRecord: it is not ours to read.
    """
    version = data.get("v", 1)
    if version > RECORD_VERSION:
        raise NewerRecord(f"a record of version {version}, this release reads up to {RECORD_VERSION}")
    return {name: value for name, value in data.items() if name != "v"}


@dataclass(frozen=True, slots=True)
class RunningCommand:
    """An accepted command that has no result yet."""

    #: Its ``type`` on the wire; ``world.commands`` knows the rest by it.
    kind: str
    server_cmd_id: ServerCmdId
    client_cmd_id: str
    trace_id: str
    started_tick: Tick
    #: Number of its acceptance in the shard; earlier ones act first within a tick.
    order: int
    #: What its kind keeps of it (``Running.details``): plain JSON values.
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, the details beside the rest."""
        return {name: getattr(self, name) for name in _TICKET_FIELDS} | dict(self.details)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunningCommand:
        """Read what ``to_json`` wrote."""
        details = {name: value for name, value in data.items() if name not in _TICKET_FIELDS}
        return cls(**{name: data[name] for name in _TICKET_FIELDS}, details=details)


_TICKET_FIELDS: Final = ("kind", "server_cmd_id", "client_cmd_id", "trace_id", "started_tick", "order")


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """An agent: where it is, what it owns, what it is doing."""

    agent_id: AgentId
    chunk_id: ChunkId
    x: int
    y: int
    name: str = ""
    gold: int = 0
    kind: AgentKind = "agent"
    running: RunningCommand | None = None
    #: The last decided command ids, accepted or refused, oldest first.
    recent: tuple[ServerCmdId, ...] = ()
    #: The tick when this was written.
    at: Tick = Tick(0)  # noqa: RUF009 - an int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "agent_id": self.agent_id,
            "chunk_id": self.chunk_id,
            "x": self.x,
            "y": self.y,
            "name": self.name,
            "gold": self.gold,
            "kind": self.kind,
            "running": self.running.to_json() if self.running else None,
            "recent": list(self.recent),
            "at": self.at,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AgentRecord:
        """Read what ``to_json`` wrote.  Raises ``NewerRecord``: a newer release has."""
        running = data.get("running")
        return cls(
            **{
                **_known(data),
                "running": RunningCommand.from_json(running) if running else None,
                "recent": tuple(data.get("recent", ())),
            }
        )


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What changes of a resource node; its place and sizes follow from the terrain."""

    node_id: NodeId
    remaining: int
    state: NodeStatus
    #: Rises with every change of ``remaining`` or ``state``.
    version: int
    #: The tick at which it is full again; None while it has units, or for ever.
    regen_at: Tick | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "node_id": self.node_id,
            "remaining": self.remaining,
            "state": self.state,
            "version": self.version,
            "regen_at": self.regen_at,
        }


@dataclass(frozen=True, slots=True)
class NpcRecord:
    """A creature that nobody plays."""

    id: str
    x: int
    y: int
    kind: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, the form they also have in a delta."""
        return {"id": self.id, "x": self.x, "y": self.y, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """A chunk without its agents and without the terrain, which its number and entry give again.

    Reservations are not in it: they live where the cluster keeps them and come back as ``Reserve``.
    """

    chunk_id: ChunkId
    number: int
    #: The side by which it was first entered; an exit of it.
    entry: Direction | None
    pinned: bool = False
    neighbors: dict[Direction, ChunkId | None] = field(default_factory=lambda: dict.fromkeys(("N", "E", "S", "W")))
    #: The last tick stepped with it.
    tick: Tick = Tick(-1)  # noqa: RUF009 - an int
    #: Empty: as generated.
    nodes: tuple[NodeRecord, ...] = ()
    npcs: tuple[NpcRecord, ...] = ()
    #: The tick since which nobody is in it; None while somebody is.
    idle_since: Tick | None = None
    #: Events that wait for the next delta (only when it was dropped between an input and a step).
    events: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "chunk_id": self.chunk_id,
            "number": self.number,
            "entry": self.entry,
            "pinned": self.pinned,
            "neighbors": dict(self.neighbors),
            "tick": self.tick,
            "nodes": [node.to_json() for node in self.nodes],
            "npcs": [npc.to_json() for npc in self.npcs],
            "idle_since": self.idle_since,
            "events": list(self.events),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChunkRecord:
        """Read what ``to_json`` wrote.  Raises ``NewerRecord``: a newer release has."""
        return cls(
            **{
                **_known(data),
                "nodes": tuple(NodeRecord(**node) for node in data.get("nodes", ())),
                "npcs": tuple(NpcRecord(**npc) for npc in data.get("npcs", ())),
                "events": tuple(data.get("events", ())),
            }
        )
