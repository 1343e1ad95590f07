"""Typed messages of the wire contract, tolerant of what it may grow.

One class per event.  Unknown fields are ignored; an unknown event, or a known one of an unexpected shape, becomes an
``UnknownEvent`` and never an exception, so that a newer server does not break an older client.
``chunkcrawl.wire.codec`` reads and writes them.  Why msgspec: docs/decisions/0030-client-messages.md.

Coordinates are local to a chunk: ``x`` grows to the east, ``y`` to the north, both 0..49; grids are indexed
``grid[y][x]``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

__all__ = [
    "AgentView",
    "Blocker",
    "Challenge",
    "ChunkClosed",
    "ChunkDelta",
    "ChunkStatic",
    "ChunkTransition",
    "CommandAck",
    "CommandResult",
    "Direction",
    "ErrorEvent",
    "Event",
    "Heartbeat",
    "NodeSpec",
    "NodeState",
    "NpcView",
    "PlaybackState",
    "PrivateDelta",
    "ResyncRequired",
    "SessionReady",
    "Snapshot",
    "UnknownEvent",
    "WorldEvent",
]

Direction: TypeAlias = Literal["N", "E", "S", "W"]


class Cell(msgspec.Struct, frozen=True, gc=False):
    """A cell of a chunk."""

    x: int
    y: int


# -- parts --


class AgentView(msgspec.Struct, frozen=True, gc=False):
    """An agent as everybody sees it.  ``activity_state`` is idle, moving, harvesting (or what a newer server adds)."""

    id: str
    x: int
    y: int
    activity_state: str = "idle"
    name: str | None = None


class NpcView(msgspec.Struct, frozen=True, gc=False):
    """A creature that nobody plays."""

    id: str
    x: int
    y: int
    kind: str = ""


class NodeSpec(msgspec.Struct, frozen=True, gc=False):
    """What is fixed about a resource node.  Its cell is a wall; harvest from a cell beside it.  Times are in ticks."""

    node_id: str
    x: int
    y: int
    type: str = "gold"
    max_remaining: int = 0
    harvest_ticks_per_unit: int = 0
    regen_ticks: int = 0


class NodeState(msgspec.Struct, frozen=True, gc=False):
    """What changes about a resource node: ``state`` is available, depleted or regenerating."""

    node_id: str
    remaining: int = 0
    state: str = "available"
    version: int = 0


class Size(msgspec.Struct, frozen=True, gc=False):
    """Width and height in cells."""

    w: int = 50
    h: int = 50


class Blocker(msgspec.Struct, frozen=True, gc=False):
    """Who stood in the way, and where."""

    id: str = ""
    x: int | None = None
    y: int | None = None


#: One of a delta's ``events`` as the server sent it; its ``type`` is chat, blocked, resource_harvest, ...
WorldEvent: TypeAlias = dict[str, Any]


# -- events --


class Event(msgspec.Struct, kw_only=True):
    """What every event carries.

    Attributes:
        event_id: Where the stream can be resumed from, empty for events that can't be replayed.
        trace_id: The server's trace id.
        server_ts_ms: The server's wall clock, milliseconds since 1970.
        raw: The JSON object that it was read from: the payload alone, or the flat form over SSE.
    """

    TYPE: ClassVar[str] = ""

    event_id: str = msgspec.field(default="", name="@event_id")
    trace_id: str = msgspec.field(default="", name="@trace_id")
    server_ts_ms: int = msgspec.field(default=0, name="@server_ts_ms")
    raw: bytes = msgspec.field(default=b"", name="@raw")

    @property
    def type(self) -> str:
        """The event's name on the wire."""
        return self.TYPE


class SessionReady(Event):
    """The first event of every connection.

    Attributes:
        resumed: The agent had not left the world since the last connection.
        inventory: What the agent carries.  None: it never was in the world, or the reader is a spectator.
    """

    TYPE = "session_ready"
    role: str = ""
    channel_id: str = ""
    chunk_id: str | None = None
    agent_id: str | None = None
    resumed: bool = False
    inventory: Inventory | None = None


class ChunkStatic(Event):
    """A chunk's terrain: ``tiles`` and ``grid`` by rows, row 0 is the south edge; grid 0 is floor, 1 is wall."""

    TYPE = "chunk_static"
    chunk_id: str
    size: Size = Size()
    tiles: list[str] = []
    grid: list[list[int]] = []
    resource_nodes: list[NodeSpec] = []
    neighbors: dict[str, str | None] = {}
    tick_base: int = 0


class ChunkDelta(Event):
    """The whole present state of a chunk's moving things at ``tick``, and what happened in it."""

    TYPE = "chunk_delta"
    chunk_id: str
    tick: int
    agents: list[AgentView] = []
    npcs: list[NpcView] = []
    resources: list[NodeState] = []
    events: list[WorldEvent] = []


class ChunkTransition(Event):
    """The agent has changed chunks; the destination's static and delta follow."""

    TYPE = "chunk_transition"
    agent_id: str
    from_chunk_id: str
    to_chunk_id: str
    from_cell: Cell = msgspec.field(name="from")
    to_cell: Cell = msgspec.field(name="to")
    tick: int = 0


class Inventory(msgspec.Struct, frozen=True, gc=False):
    """What an agent carries."""

    gold: int = 0


class PrivateDelta(Event):
    """What only the agent and its owner see."""

    TYPE = "agent_private_delta"
    agent_id: str
    tick: int = 0
    inventory: Inventory = Inventory()
    activity_state: str = "idle"


class Challenge(Event):
    """What has to be signed and solved before a command is taken.  ``expires_at`` is signed as it came."""

    TYPE = "command_challenge"
    client_cmd_id: str
    server_cmd_id: str
    nonce: str
    expires_at: int | float | str
    difficulty: int
    channel_id: str


class CommandAck(Event):
    """The server's decision about a command, once for each.

    Attributes:
        client_cmd_id: None when the server does not know the challenge any more; ``server_cmd_id`` still names it.
        echo: The command, as the server understood it.
        code: The check that failed, more precise than ``reason``.
        detail: Of ``unreachable``, what is in the way: ``wall``, ``occupied`` (the target) or ``no_way``.
        blocked_at: Of ``unreachable``, where; ``blocker`` is who stands there.
        strikes_left: Of a message with banned words: how many more mute the agent, for ``muted_ms`` when it is 0.
    """

    TYPE = "command_ack"
    accepted: bool
    client_cmd_id: str | None = None
    server_cmd_id: str | None = None
    echo: Any = None
    started_tick: int | None = None
    reason: str | None = None
    code: str | None = None
    retry_after_ms: int | None = None
    detail: str | None = None
    blocked_at: Cell | None = None
    blocker: Blocker | None = None
    strikes_left: int | None = None
    muted_ms: int | None = None


class CommandResult(Event):
    """How an accepted command ended, once for each: ``status`` is completed or failed.

    ``node_id`` and ``amount`` are a harvest's: what it took, however it ended.
    """

    TYPE = "command_result"
    status: str
    client_cmd_id: str = ""
    server_cmd_id: str | None = None
    reason: str | None = None
    ended_tick: int | None = None
    blocked_at: Cell | None = None
    blocker: Blocker | None = None
    node_id: str | None = None
    amount: int | None = None


class Heartbeat(Event):
    """A sign of life."""

    TYPE = "heartbeat"


class ErrorEvent(Event):
    """The server could not use a frame that we sent; ``server_cmd_id`` names the command if it was an answer."""

    TYPE = "error"
    reason: str = "unknown"
    retry_after_ms: int | None = None
    server_cmd_id: str | None = None


class ResyncRequired(Event):
    """What was missed is no longer kept; static and delta follow."""

    TYPE = "resync_required"
    chunk_id: str | None = None
    snapshot_url: str | None = None


class ChunkClosed(Event):
    """The chunk was removed; a spectator's stream ends here."""

    TYPE = "chunk_closed"
    chunk_id: str | None = None


class PlaybackState(Event):
    """How the past is played (``from_tick``): ``state`` is playing, then live; gap or away for ticks that are left out.

    Attributes:
        tick: The tick that comes next.
        from_tick, to_tick: What is left out; ``reason``: why it can't be shown.
    """

    TYPE = "playback"
    state: str
    chunk_id: str | None = None
    tick: int = 0
    speed: float = 1.0
    from_tick: int | None = None
    to_tick: int | None = None
    reason: str | None = None


class UnknownEvent(Event):
    """An event that this version does not know, or a known one whose shape it does not know."""

    name: str = ""
    fields: dict[str, Any] = {}
    problem: str | None = None

    @property
    def type(self) -> str:
        """The event's name on the wire."""
        return self.name


class Snapshot(msgspec.Struct):
    """The answer of ``GET /v1/chunks/{chunk_id}/snapshot``."""

    chunk_static: ChunkStatic
    latest_delta: ChunkDelta | None = None
