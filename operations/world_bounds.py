"""What the records of a world may hold, for worlds that come from elsewhere: a backup, or snapshots out of one.

A shard writes its records itself and trusts them when it loads them.  Those of a backup may have been written by
anybody, so every field is held against its type and its bound before anything is counted, allocated or named by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.ids import is_agent_id, is_chunk_id
from cluster.chunk_dump import ChunkDump
from cluster.stored_format import format_fault
from cluster.world_rules import rules_fault
from config.errors import OperatorError
from operations.world_dump import SHARDS_MOST, WorldDump
from world.commands import RULES
from world.grid import CELLS, LAST
from world.ids import chunk_name

#: Ticks, sequence numbers, times in milliseconds: far beyond any world's age, and exact in Lua and JSON.
NUMBER_MOST: Final = 2**50
GOLD_MOST: Final = 2**50
CHUNKS_MOST: Final = 1_000_000
AGENTS_MOST: Final = 5_000_000
FACTS_MOST: Final = 1_000_000
MEMBERS_MOST: Final = CELLS
THINGS_MOST: Final = CELLS
SHOWN_CHARS: Final = 80
TEXT_CHARS: Final = 4_096


class WorldOutOfBounds(OperatorError):
    """A record is not one that a shard of ours writes; the text names it, its field and the rule."""

    reason = "world_out_of_bounds"


T = TypeVar("T")

_CLEAN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
Number = Annotated[int, Field(ge=0, le=NUMBER_MOST)]
Tick = Annotated[int, Field(ge=-1, le=NUMBER_MOST)]
Coordinate = Annotated[int, Field(ge=0, le=LAST)]
Cell = tuple[Coordinate, Coordinate]
Text = Annotated[str, Field(max_length=TEXT_CHARS, pattern=_CLEAN)]
Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.:\-]*$")]
ChunkName = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_\-]+$")]
Side = Literal["N", "E", "S", "W"]

# As texts, the way Redis keeps them.
SignedDigits = Annotated[str, Field(pattern=r"^(0|-?[1-9][0-9]{0,18})$")]
TickDigits = Annotated[str, Field(pattern=r"^(-1|0|[1-9][0-9]{0,14})$")]
ShardDigits = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,2})$")]
EntryId = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,13})-(0|[1-9][0-9]{0,13})$")]
Flag = Literal["0", "1"]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Fields(BaseModel):
    """A hash; fields that are not known here are short texts."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, Annotated[str, Field(max_length=TEXT_CHARS, pattern=_CLEAN)]]


class _World(_Fields):
    seed: SignedDigits
    shard_count: ShardDigits
    epoch_ms: TickDigits
    next_chunk: TickDigits = "1"
    run: Id | None = None


class _Shard(_Fields):
    epoch: TickDigits = "0"
    seq: TickDigits = "0"
    tick: TickDigits = "-1"


class _ChunkFields(_Fields):
    shard: ShardDigits
    number: TickDigits
    entry: Literal["", "N", "E", "S", "W"]
    pinned: Flag = "0"
    N: ChunkName | None = None
    E: ChunkName | None = None
    S: ChunkName | None = None
    W: ChunkName | None = None
    state: str | None = None


class _AgentFields(_Fields):
    here: Flag = "0"
    chunk: ChunkName | None = None
    busy: Literal["", *RULES] = ""  # type: ignore[valid-type]
    rec: str | None = None
    seq: TickDigits = "0"
    at: TickDigits = "0"
    account: Id | None = None


class _Running(BaseModel):
    """A command under way: what all have in common, and what kinds keep of theirs, the ones known here closely."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, Number | Text | bool | None]

    kind: Literal[*RULES]  # type: ignore[valid-type]
    server_cmd_id: Id
    client_cmd_id: Id
    trace_id: Text
    started_tick: Tick
    order: Number
    target: Cell | None = None
    origin: Cell | None = None
    path: Annotated[str, Field(max_length=CELLS, pattern=r"^[NESW]*$")] = ""
    due_tick: Tick | None = None


class _Agent(_Record):
    agent_id: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_.\-]+$")]
    chunk_id: ChunkName
    x: Coordinate
    y: Coordinate
    name: Text = ""
    gold: Annotated[int, Field(ge=0, le=GOLD_MOST)] = 0
    kind: Literal["agent", "demo"] = "agent"
    running: _Running | None = None
    recent: Annotated[list[Id], Field(max_length=1_000)] = []
    at: Tick = 0


class _Arrival(BaseModel):
    model_config = ConfigDict(strict=True)

    record: _Agent
    x: Coordinate
    y: Coordinate


class _Node(_Record):
    node_id: Id
    remaining: Annotated[int, Field(ge=0, le=GOLD_MOST)]
    state: Literal["available", "depleted", "regenerating"]
    version: Number
    regen_at: Tick | None = None


class _Npc(_Record):
    id: Id
    x: Coordinate
    y: Coordinate
    kind: Id


class _Chunk(_Record):
    chunk_id: ChunkName
    number: Number
    entry: Side | None
    pinned: bool = False
    neighbors: dict[Side, ChunkName | None]
    tick: Tick = -1
    nodes: Annotated[list[_Node], Field(max_length=THINGS_MOST)] = []
    npcs: Annotated[list[_Npc], Field(max_length=THINGS_MOST)] = []
    idle_since: Tick | None = None
    events: Annotated[list[dict[str, Any]], Field(max_length=100_000)] = []


class _Shown(BaseModel):
    model_config = ConfigDict(strict=True)

    id: Id
    x: Coordinate
    y: Coordinate


class _ShownNode(BaseModel):
    model_config = ConfigDict(strict=True)

    node_id: Id
    remaining: Annotated[int, Field(ge=0, le=GOLD_MOST)]
    state: Literal["available", "depleted", "regenerating"]
    version: Number


class _Delta(BaseModel):
    """The last message of a chunk's stream; one that tells nothing of agents is not read again."""

    model_config = ConfigDict(strict=True)

    tick: Tick
    agents: Annotated[list[_Shown], Field(max_length=THINGS_MOST)]
    npcs: Annotated[list[_Npc], Field(max_length=THINGS_MOST)]
    resources: Annotated[list[_ShownNode], Field(max_length=THINGS_MOST)]


class _Fact(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    fact: Id
    tick: Tick
    chunk_id: ChunkName | None = None
    agent_id: Id | None = None


_NAMES: Final = TypeAdapter(Annotated[list[str], Field(max_length=MEMBERS_MOST)])
_TEXTS: Final = TypeAdapter(Annotated[dict[Text, str], Field(max_length=MEMBERS_MOST)])
_MAPPING: Final = TypeAdapter(dict[str, Any])
_ENTRY_ID: Final = TypeAdapter(EntryId)


def check_bounds(dump: WorldDump) -> None:
    """Hold every record of a world against what a shard of ours writes.

    Raises:
        WorldOutOfBounds: for the first that is not.
    """
    world = _checked("world", lambda: _World.model_validate(dump.world))
    if not 1 <= int(world.shard_count) <= SHARDS_MOST:
        raise WorldOutOfBounds(f"world: shard_count is {world.shard_count}, of at most {SHARDS_MOST}")
    if not -(2**63) <= int(world.seed) < 2**63:
        raise WorldOutOfBounds("world: seed is beyond 64 bits")
    if fault := rules_fault(dump.world) or format_fault(dump.world):
        raise WorldOutOfBounds(f"world: {fault}")
    for what, there, most in (
        ("chunks", dump.chunks, CHUNKS_MOST),
        ("agents", dump.agents, AGENTS_MOST),
        ("facts", dump.facts, FACTS_MOST),
        ("shards", dump.shards, SHARDS_MOST),
    ):
        if len(_checked(what, lambda there=there: _MAPPING.validate_python(there))) > most:  # type: ignore[misc]
            raise WorldOutOfBounds(f"{what}: more than {most}")
    for number, shard in dump.shards.items():
        _check_shard(number, shard)
    for chunk_id, chunk in dump.chunks.items():
        _check_chunk(chunk_id, chunk)
    for agent_id, fields in dump.agents.items():
        _check_agent(agent_id, fields)
    _checked("archived", lambda: _ENTRY_ID.validate_python(dump.archived, strict=True))
    for entry_id, payload in dump.facts.items():
        _check_fact(entry_id, payload)


def _check_shard(number: str, fields: Mapping[str, str]) -> None:
    _shard_number("shards", number)
    _checked(f"shard {number}", lambda: _Shard.model_validate(fields))


def _check_chunk(chunk_id: str, chunk: ChunkDump) -> None:
    what = f"chunk {_shown(chunk_id)}"
    if not is_chunk_id(chunk_id):
        raise WorldOutOfBounds(f"{what}: not a chunk id")
    fields = _checked(what, lambda: _ChunkFields.model_validate(chunk.fields))
    _shard_number(what, fields.shard)
    if chunk_name(int(fields.number)) != chunk_id:
        raise WorldOutOfBounds(f"{what}: its number is {fields.number}")
    if fields.state is not None:
        state = _checked(f"{what}, state", lambda: _Chunk.model_validate_json(fields.state or ""))
        if state.chunk_id != chunk_id or state.number != int(fields.number):
            raise WorldOutOfBounds(f"{what}: its state is of chunk {state.chunk_id}")
    for agent_id in _checked(f"{what}, members", lambda: _NAMES.validate_python(chunk.members, strict=True)):
        _agent_id(f"{what}, members", agent_id)
    for arrival in _checked(f"{what}, inbox", lambda: _TEXTS.validate_python(chunk.inbox, strict=True)).values():
        _check_arrival(f"{what}, inbox", arrival)
    _checked(f"{what}, reserved", lambda: _TEXTS.validate_python(chunk.reserved, strict=True))
    _checked(f"{what}, last_id", lambda: _ENTRY_ID.validate_python(chunk.last_id, strict=True))
    _check_message(what, chunk.last)


def _check_arrival(what: str, arrival: str) -> None:
    _checked(what, lambda: _Arrival.model_validate_json(arrival))


def _check_message(what: str, message: object) -> None:
    if not isinstance(message, str):
        raise WorldOutOfBounds(f"{what}, last: not a text")
    _, newline, payload = message.partition("\n")
    if not newline:
        return
    found = _checked(f"{what}, last", lambda: orjson.loads(payload))
    if not isinstance(found, dict):
        raise WorldOutOfBounds(f"{what}, last: not an object")
    if "agents" in found:
        _checked(f"{what}, last", lambda: _Delta.model_validate(found))


def _check_agent(agent_id: str, fields: Mapping[str, str]) -> None:
    what = f"agent {_shown(agent_id)}"
    _agent_id(what, agent_id)
    known = _checked(what, lambda: _AgentFields.model_validate(fields))
    if known.rec is not None:
        record = _checked(f"{what}, rec", lambda: _Agent.model_validate_json(known.rec or ""))
        if record.agent_id != agent_id:
            raise WorldOutOfBounds(f"{what}: its record is of agent {record.agent_id}")


def _check_fact(entry_id: str, payload: object) -> None:
    what = f"fact {_shown(entry_id)}"
    _checked(what, lambda: _ENTRY_ID.validate_python(entry_id, strict=True))
    if not isinstance(payload, str):
        raise WorldOutOfBounds(f"{what}: not a text")
    _checked(what, lambda: _Fact.model_validate_json(payload))


def _agent_id(what: str, agent_id: object) -> None:
    if not isinstance(agent_id, str) or not is_agent_id(agent_id):
        raise WorldOutOfBounds(f"{what}: {_shown(agent_id)} is not an agent id")


def _shard_number(what: str, number: object) -> None:
    if not isinstance(number, str) or number not in _SHARDS:
        raise WorldOutOfBounds(f"{what}: {_shown(number)} is not a shard's number")


_SHARDS: Final = frozenset(str(number) for number in range(SHARDS_MOST))


def _checked(what: str, look: Callable[[], T]) -> T:
    try:
        return look()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise WorldOutOfBounds(f"{what}: {_shown(place)}: {first['msg']}, not {_shown(first['input'])}") from None
    except orjson.JSONDecodeError as error:
        raise WorldOutOfBounds(f"{what}: {error}") from None


def _shown(value: object) -> str:
    """Return a value from elsewhere for a message: short, and nothing that a terminal would act on."""
    try:
        words = ascii(value)
    except RecursionError:
        words = f"a deep {type(value).__name__}"
    return words if len(words) <= SHOWN_CHARS else words[:SHOWN_CHARS] + "..."
