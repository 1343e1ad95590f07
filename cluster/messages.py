"""What gateways and shards say to each other: the messages, and how they are packed into the bytes of a call.

Packed, a message is an array in the order of its fields.  The name of its class does not travel, so a batch has no more
bytes than its strings and numbers need.  A field may be added at the end of a message, with a default, and whoever does
not know it passes over it.  For any other change raise ``VERSION``, the first byte of whatever is packed here, set
``OLDEST`` to what it was, and give the packer of what has changed its ``before``.

While a cluster is upgraded processes of two releases talk to each other: each speaks its own version and that of the
release before.  See docs/decisions/0047-draining-and-upgrading.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from config.errors import ServerError
from world.ids import AgentId, ChunkId, HandoffId, ServerCmdId
from world.inputs import Occupant

T = TypeVar("T")

#: The version of all messages of this module together.
VERSION: Final = 2

#: The version of the release before this one; it is spoken too.  The same number: nothing has changed since.
OLDEST: Final = 2

NO_CMD: Final = msgspec.Raw(msgspec.msgpack.encode(None))


class ForeignVersion(ServerError):
    """Whoever has packed this runs a release that is more than one older or newer; nothing of it was read."""

    reason = "foreign_version"


class _Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


# -- commands --


class ShardCommand(_Message, frozen=True, array_like=True, gc=False):
    """A command on its way to the shard that holds its agent."""

    agent_id: AgentId
    server_cmd_id: ServerCmdId
    client_cmd_id: str
    #: The command itself (``pack_cmd``), packed before it joins a batch: one that can't be holds nobody else's up.
    packed_cmd: msgspec.Raw
    trace_id: str
    #: When its gateway gives it up, by ``streaming.shared_clock``; 0: never.
    deadline_ms: int = 0
    #: What its agent was sent, as JSON, for the agent's stream; empty: nothing, or the stream has it.
    challenge: bytes = b""
    #: When that was, in milliseconds of Unix time.
    issued_ms: int = 0

    @property
    def cmd(self) -> object:
        """The command as JSON data."""
        cmd: object = msgspec.msgpack.decode(self.packed_cmd)
        return cmd


class ShardDecision(_Message, frozen=True, array_like=True, gc=False):
    """What a shard has decided about a command; ``moved``: nothing, for it does not hold that agent."""

    accepted: bool
    reason: str | None = None
    retry_after_ms: int | None = None
    started_tick: int | None = None
    moved: bool = False


def pack_cmd(cmd: object) -> msgspec.Raw:
    """Pack a command, JSON data from outside that may be anything.

    What can't be packed can't be a command either (whole numbers beyond 64 bits, half a surrogate pair, a thousand
    levels): it is packed as ``null``, which the shard refuses.
    """
    try:
        return msgspec.Raw(msgspec.msgpack.encode(cmd))
    except (OverflowError, RecursionError, TypeError, UnicodeEncodeError):
        return NO_CMD


# -- joining --


class JoinRequest(_Message, frozen=True, array_like=True, gc=False):
    """Asks a shard to seat an agent whose record names ``chunk_id``."""

    agent_id: AgentId
    chunk_id: ChunkId


class JoinAnswer(_Message, frozen=True, array_like=True, gc=False):
    """What became of a join.

    ``here``: it stood in this shard already, in ``chunk_id``.  ``seated``: now it does.  ``full``: no cell is free.
    ``gone``: the chunk is not this shard's, or the agent is bound to another.
    """

    outcome: Literal["here", "seated", "full", "gone"]
    chunk_id: ChunkId | None = None


# -- crossings between shards --


class CellRequest(_Message, frozen=True, array_like=True, gc=False):
    """Asks the target of a crossing to reserve a cell."""

    handoff_id: HandoffId
    agent_id: AgentId
    chunk_id: ChunkId
    x: int
    y: int


class CellAnswer(_Message, frozen=True, array_like=True, gc=False):
    """``reserved``; ``blocked`` by ``blocker``; ``gone``: the chunk is not this shard's, or the cell is none."""

    outcome: Literal["reserved", "blocked", "gone"]
    blocker: Occupant | None = None


class CellRelease(_Message, frozen=True, array_like=True, gc=False):
    """Tells the target of a crossing that nobody will come."""

    handoff_id: HandoffId
    chunk_id: ChunkId


# -- state --


class ShardHealth(_Message, frozen=True, array_like=True, gc=False):
    """Whether a shard waits for Redis, and how long ago its last tick was (None: there was none)."""

    stalled: bool
    last_tick_age_s: float | None


class ChunkLoad(_Message, frozen=True, array_like=True, gc=False):
    """What a chunk costs its shard and what goes on in it, smoothed over some seconds."""

    chunk_id: ChunkId
    agents: int
    #: Microseconds a second: its part of stepping, deciding and encoding.
    cost_us: int
    #: Of its deltas.
    bytes_per_s: int
    commands_per_s: float
    #: Crossings a second out of it, by the chunk that they lead to.
    crossings: dict[ChunkId, float]
    #: Microseconds a second: its part of commits, from sending to the answer.
    commit_us: int = 0


class ShardLoad(_Message, frozen=True, array_like=True, gc=False):
    """What a shard carries, smoothed over some seconds; its size is bounded (``cluster.shard.costs``)."""

    shard: int
    #: Seconds since this epoch of it began: what a young one says is of little time.
    age_s: float
    #: Share of one core that its process uses.
    cpu: float
    #: p99 of its ticks of the last seconds, and of how late they began.
    tick_p99_ms: float
    lag_p99_ms: float
    #: Tick numbers that it has left out, being too late, in this epoch.
    ticks_skipped: int
    chunks: int
    agents: int
    #: The costliest first.
    costliest: list[ChunkLoad]
    #: Microseconds a second of all chunks that are not among them.
    rest_us: int


class ShardAddress(_Message, frozen=True, array_like=True, gc=False):
    """Where a shard listens, and what a caller has to show there."""

    host: str
    port: int
    token: bytes


# -- packing --


@dataclass(frozen=True, slots=True)
class Before(Generic[T]):
    """How values of a type were packed in version ``OLDEST``, where that differs."""

    #: What was packed then.
    type: Any
    #: Makes a value of today of one of then, and the other way.
    newer: Callable[[Any], T]
    older: Callable[[T], Any]


class Packer(Generic[T]):
    """Packs values of one type.

    Args:
        before: How it was packed in version ``OLDEST``; None: the same way.
    """

    def __init__(self, type_: type[T], before: Before[T] | None = None) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(type_)
        self._before = before
        self._older_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(before.type if before else type_)

    def pack(self, value: T, version: int | None = None) -> bytes:
        """Return ``value`` as bytes of ``version``, which is ``VERSION`` (None too) or ``OLDEST``."""
        version = VERSION if version is None else version
        packed = self._before.older(value) if self._before is not None and version != VERSION else value
        return bytes((version,)) + self._encoder.encode(packed)

    def unpack(self, packed: bytes) -> T:
        """Return what ``pack`` was given.

        Raises:
            ForeignVersion: see there.
        """
        version, rest = packed[0], memoryview(packed)[1:]
        if version == VERSION:
            return self._decoder.decode(rest)
        if version != OLDEST:
            spoken = VERSION if VERSION == OLDEST else f"{OLDEST} or {VERSION}"
            raise ForeignVersion(f"messages of version {version}, not {spoken}: upgrade one release after the other")
        found = self._older_decoder.decode(rest)
        return self._before.newer(found) if self._before is not None else found


def version_of(packed: bytes) -> int:
    """Return the version in which this was packed: answers go in that of the question."""
    return packed[0]


COMMANDS: Final = Packer(list[ShardCommand])
DECISIONS: Final = Packer(list[ShardDecision])
JOIN_REQUESTS: Final = Packer(list[JoinRequest])
JOIN_ANSWERS: Final = Packer(list[JoinAnswer])
CELL_REQUESTS: Final = Packer(list[CellRequest])
CELL_ANSWERS: Final = Packer(list[CellAnswer])
CELL_RELEASES: Final = Packer(list[CellRelease])
HEALTH: Final = Packer(ShardHealth)
SHARD_LOAD: Final = Packer(ShardLoad)
ADDRESS: Final = Packer(ShardAddress)
