"""Agents and chunks between shards: what one gives away another must take as it was.

An agent comes into a shard with a record that is an input: from its departure elsewhere, from its leaving, with a
chunk that was handed over, from the end of the life before; and so does a chunk.  Each shard's recording may be right
in itself and yet not fit the others', so what was given and what was taken are compared at the end, whatever the order
in which shards are read.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeAlias

import orjson

from world.inputs import Arrive, Drop, Dropped, Input, Join, Leave, Load, Reply
from world.outputs import Output
from world.records import AgentRecord, ChunkRecord
from world.shard import ShardWorld

#: Stands for what nobody may change on the way: there are as many of them as a recording has crossings.
Kept: TypeAlias = bytes
KEPT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Taken:
    """An agent or a chunk that came into a shard."""

    shard: int
    chunk_id: str
    tick: int
    #: The agent; empty: the chunk itself.
    agent_id: str
    kept: Kept
    segment: str
    #: What the agent had.
    gold: int = 0

    @property
    def field(self) -> str:
        """What of the chunk it is."""
        return f"agents[{self.agent_id}]" if self.agent_id else "record"

    @property
    def text(self) -> str:
        """What is wrong with it, if nobody gave it so."""
        if self.agent_id:
            return f"{self.agent_id} came with {self.gold} gold otherwise than anybody had given it away"
        return "the chunk came otherwise than anybody had given it away"


class Custody:
    """What was given and taken in all shards that were looked at."""

    def __init__(self) -> None:
        #: By agent, and by chunk.
        self._given: defaultdict[tuple[str, str], set[Kept]] = defaultdict(set)
        self._taken: list[Taken] = []
        #: Why nothing can be said: a part was not looked at, where anything may have been given; empty: it can.
        self.partial = ""

    def gives(self, record: AgentRecord) -> None:
        """Note a record with which an agent may come in somewhere."""
        self._given["", record.agent_id] |= {_kept(record), _placed(record)}

    def gives_chunk(self, record: ChunkRecord) -> None:
        """Note a record with which a chunk may come in somewhere."""
        self._given[record.chunk_id, ""].add(_chunk(record))

    def gives_all(self, world: ShardWorld) -> None:
        """Note everything in a world: its life ends."""
        for agent_id in world.agent_ids:
            record = world.agent(agent_id)
            if record is not None:
                self.gives(record)
        for chunk_id in world.chunk_ids:
            self.gives_chunk(world.chunk(chunk_id))

    def came(self, world: ShardWorld, order: Input, segment: str) -> None:
        """Note who and what is going to come in with an input that is about to be applied."""
        if isinstance(order, (Join, Arrive)):
            if world.chunk_of(order.record.agent_id) is None:
                record = order.record
                self._take(world.shard, order.chunk_id, world.tick, record, _kept(record), segment)
        elif isinstance(order, Load) and not world.holds(order.record.chunk_id):
            chunk, tick = order.record, max(world.tick, order.record.tick)
            self._taken.append(Taken(world.shard, chunk.chunk_id, tick, "", _chunk(chunk), segment))
            for record in order.agents:
                if world.chunk_of(record.agent_id) is None:
                    self._take(world.shard, chunk.chunk_id, tick, record, _placed(record), segment)

    def _take(self, shard: int, chunk_id: str, tick: int, record: AgentRecord, kept: Kept, segment: str) -> None:
        self._taken.append(Taken(shard, chunk_id, tick, record.agent_id, kept, segment, record.gold))

    def went(self, order: Input, reply: Reply) -> None:
        """Note who and what went with an input that was applied."""
        if isinstance(order, Leave) and isinstance(reply, AgentRecord):
            self.gives(reply)
        elif isinstance(order, Drop) and isinstance(reply, Dropped):
            self.gives_chunk(reply.record)
            for record in reply.agents:
                self.gives(record)

    def departed(self, output: Output) -> None:
        """Note who departed for other shards."""
        for departure in output.departures:
            self.gives(departure.record)

    def wrong(self) -> Iterator[Taken]:
        """Yield those that came as nobody gave them.

        The first coming of an agent or a chunk is nobody's gift; where several came in the same first tick, one of
        them is.
        """
        found: defaultdict[tuple[str, str], list[Taken]] = defaultdict(list)
        for taken in self._taken:
            found[_key(taken)].append(taken)
        for key, some in found.items():
            given = self._given.get(key, set())
            first = min(taken.tick for taken in some)
            unknown = sorted((one for one in some if one.kept not in given), key=lambda one: one.tick)
            yield from unknown[1:] if unknown and unknown[0].tick == first else unknown

    def __len__(self) -> int:
        return len(self._taken)


def _key(taken: Taken) -> tuple[str, str]:
    return ("", taken.agent_id) if taken.agent_id else (taken.chunk_id, "")


def _kept(record: AgentRecord) -> Kept:
    return _hashed(_carried(record))


def _placed(record: AgentRecord) -> Kept:
    return _hashed([*_carried(record), record.x, record.y])


def _carried(record: AgentRecord) -> list[object]:
    running = record.running
    if running is None:
        return [record.gold, record.recent, ""]
    # The rest of a way is written down when something else changes.
    details = sorted((name, str(value)) for name, value in running.details.items() if name not in ("origin", "path"))
    return [record.gold, record.recent, running.server_cmd_id, details]


def _chunk(record: ChunkRecord) -> Kept:
    nodes = [(node.node_id, node.remaining, node.state, node.version) for node in record.nodes]
    npcs = [(npc.id, npc.x, npc.y) for npc in record.npcs]
    return _hashed([record.number, record.entry, record.pinned, nodes, npcs])


def _hashed(values: list[object]) -> Kept:
    try:
        data = orjson.dumps(values)
    except TypeError:  # huge numbers, lone surrogates
        data = json.dumps(values).encode()
    return blake2b(data, digest_size=KEPT_BYTES).digest()
