"""Recording what a shard was told, and running it again to the same bytes.

A recording is lines of JSON: a header with everything that a world starts from, then each input, step and
take in order, and a closing line.  Each take carries the digest of all outputs so far, so a replay that
differs is found at the first output that does.  Reading and writing files is the caller's.

    {"rec": "header", "version": 1, "rules_version": 1, "rules": {...}, "world_seed": 1, "shard": 0}
    {"rec": "input", "input": "Submit", "agent_id": "a", ...}
    {"rec": "step", "tick": 1}
    {"rec": "take", "digest": "..."}
    {"rec": "end", "digest": "...", "state": "..."}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from hashlib import blake2b
from typing import Any, Final, cast, get_args

from world.inputs import Denied, Input, Join, Load, Occupant, Reply
from world.outputs import Output
from world.records import AgentRecord, ChunkRecord
from world.rules import RULES_VERSION, Rules, made_by_other_rules
from world.shard import ShardWorld

VERSION: Final = 1
_INPUTS: Final[Mapping[str, Any]] = {kind.__name__: kind for kind in get_args(Input)}


class NotARecording(ValueError):
    """A line is not what a recording of this version holds; the message says which."""


@dataclass(frozen=True, slots=True)
class ReplayVerdict:
    """Whether a replay came out as recorded."""

    same: bool
    #: The digest of the replay's outputs.
    digest: str
    #: Outputs compared.
    takes: int
    #: The first line (from 1) whose digest the replay does not have.
    differs_at_line: int | None = None
    #: False when the closing line is missing: the recording process was killed.
    complete: bool = True
    #: The digest of the state in which the replay ended (``state_digest``).
    state: str = ""


class RecordedWorld(ShardWorld):
    """A ``ShardWorld`` that writes down what it is told.

    Args:
        sink: Takes each line, without its newline.
    """

    def __init__(self, rules: Rules, world_seed: int, shard: int, sink: Callable[[str], object]) -> None:
        super().__init__(rules, world_seed, shard)
        self._sink = sink
        self._digest = OutputDigest()
        #: Whether a line is written whose input or step is not carried out yet.
        self._under_way = False
        header = {"rec": "header", "version": VERSION, "rules_version": RULES_VERSION, "rules": rules.to_json()}
        self._write({**header, "world_seed": world_seed, "shard": shard})

    # One implementation serves all of the base's overloads.
    def apply(self, order: Any) -> Any:
        """As ``ShardWorld.apply``."""
        self._under_way = True
        self._write(encode_input(order))
        reply = super().apply(order)
        self._under_way = False
        return reply

    def step(self, tick: int) -> bool:
        """As ``ShardWorld.step``."""
        self._under_way = True
        self._write({"rec": "step", "tick": tick})
        stepped = super().step(tick)
        self._under_way = False
        return stepped

    def take(self) -> Output:
        """As ``ShardWorld.take``."""
        output = super().take()
        self._write({"rec": "take", "digest": self._digest.add(output)})
        return output

    def close(self) -> str:
        """Write the closing line, with the digest of the state; return the digest of all outputs.

        Called by the sink, between a line and what it does, it leaves the state out.
        """
        digest = self._digest.value
        line = {"rec": "end", "digest": digest}
        self._write(line if self._under_way else line | {"state": state_digest(self)})
        return digest

    def _write(self, line: Mapping[str, Any]) -> None:
        self._sink(json.dumps(line, separators=(",", ":")))


class OutputDigest:
    """A running digest over outputs."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def add(self, output: Output) -> str:
        """Take in one more output; return the digest so far."""
        self._hash.update(output_bytes(output))
        self._hash.update(b"\n")
        return self.value

    @property
    def value(self) -> str:
        """The digest so far, 32 hex digits."""
        return self._hash.copy().hexdigest()


def output_bytes(output: Output) -> bytes:
    """Return an output as canonical JSON: every field, keys sorted, lists in their order."""
    return json.dumps(_plain(output), sort_keys=True, separators=(",", ":")).encode()


def state_digest(world: ShardWorld) -> str:
    """Return the digest of a world's present state, 32 hex digits: the same wherever the same was done to the same.

    It is over the records of all chunks and agents by id, as canonical JSON, with the tick.  Cells that are kept for
    arrivals are not in it.
    """
    chunks = sorted(world.chunk_ids)
    records = [world.chunk(one).to_json() | {"agents": [a.to_json() for a in world.agents(one)]} for one in chunks]
    text = json.dumps({"tick": world.tick, "chunks": records}, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def encode_input(order: Input) -> dict[str, Any]:
    """Return an input as a JSON object.

    A command that JSON can't carry (nested too deep, numbers of thousands of digits) is recorded as null: either
    way it is ``invalid_cmd``.
    """
    line: dict[str, Any] = {"rec": "input", "input": type(order).__name__}
    for field in fields(order):
        value = getattr(order, field.name)
        if field.name != "cmd":
            line[field.name] = _plain(value)
            continue
        try:
            line["cmd"] = json.loads(json.dumps(value))
        except (TypeError, ValueError, RecursionError):
            line["cmd"] = None
    return line


def decode_input(line: Mapping[str, Any]) -> Input:
    """Read the input that ``encode_input`` wrote.

    Raises:
        NotARecording: the line is no input of this version.
    """
    values = {name: value for name, value in line.items() if name not in ("rec", "input")}
    kind = _INPUTS.get(str(line.get("input")))
    try:
        if kind is Load:
            values["record"] = ChunkRecord.from_json(values["record"])
            values["agents"] = [AgentRecord.from_json(agent) for agent in values["agents"]]
        elif "record" in values:
            values["record"] = AgentRecord.from_json(values["record"])
        if kind is Join and values["near"] is not None:
            values["near"] = tuple(values["near"])
        if kind is Denied and values["blocker"] is not None:
            values["blocker"] = Occupant(**values["blocker"])
        if kind is None:
            raise NotARecording(f"unknown input {line.get('input')!r}")
        return cast("Input", kind(**values))
    except (KeyError, TypeError) as error:
        raise NotARecording(f"not an input of version {VERSION}: {error}") from error


def replay(lines: Iterable[str]) -> str:
    """Run a recording again; return the digest of its outputs.

    Raises:
        NotARecording: a line can't be read.
    """
    return verify(lines).digest


def verify(lines: Iterable[str]) -> ReplayVerdict:
    """Run a recording again and compare each output with what was recorded.

    Raises:
        NotARecording: a line can't be read.
    """
    world: ShardWorld | None = None
    digest, takes = OutputDigest(), 0
    differs_at: int | None = None
    complete = False
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        line = _read(text, number)
        if world is None:
            world = _start(line)
            continue
        recorded = _run(world, line, digest)
        takes += line["rec"] == "take"
        complete = line["rec"] == "end"
        other_state = complete and line.get("state") not in (None, state_digest(world))
        if differs_at is None and (other_state or recorded not in (None, digest.value)):
            differs_at = number
    if world is None:
        raise NotARecording("empty")
    return ReplayVerdict(differs_at is None, digest.value, takes, differs_at, complete, state_digest(world))


def _run(world: ShardWorld, line: Mapping[str, Any], digest: OutputDigest) -> str | None:
    """Carry out one line; return the digest that it says there is now."""
    kind = line["rec"]
    if kind == "input":
        reply: Reply = world.apply(decode_input(line))
        del reply
    elif kind == "step":
        world.step(line["tick"])
    elif kind == "take":
        digest.add(world.take())
        return str(line["digest"])
    elif kind == "end":
        return str(line["digest"])
    else:
        raise NotARecording(f"unknown record {kind!r}")
    return None


def _start(header: Mapping[str, Any]) -> ShardWorld:
    if header["rec"] != "header" or header.get("version") != VERSION:
        raise NotARecording(f"line 1 is not the header of a version {VERSION} recording")
    if header.get("rules_version", RULES_VERSION) != RULES_VERSION:  # those before it was written are of this one
        raise NotARecording(made_by_other_rules(header["rules_version"], RULES_VERSION))
    try:
        return ShardWorld(Rules.from_json(header["rules"]), header["world_seed"], header["shard"])
    except (KeyError, TypeError, ValueError) as error:
        raise NotARecording(f"line 1: {error}") from error


def _read(text: str, number: int) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise NotARecording(f"line {number}: {error}") from error
    if not isinstance(line, dict) or "rec" not in line:
        raise NotARecording(f"line {number} is not a record")
    return line


def _plain(value: Any) -> Any:
    """Return any value of inputs and outputs as JSON values; requests and the like bear the name of their type."""
    if isinstance(value, (AgentRecord, ChunkRecord)):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return plain if isinstance(value, Occupant) else {"is": type(value).__name__, **plain}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
