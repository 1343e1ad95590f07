"""A dumped world made ready to go on: at a new tick, with nobody under way, without anything that a client may know.

Pure, but for the terrain that the core makes.  What changes, and why:

- Every chunk gets one entry for its stream, at a tick above all that were ever given out, with ``0-0`` before it: a
  reader that comes back with an id of the old world is resynced.
- Agents' event numbers leave a gap, for the same reason.
- Arrivals that wait in an inbox are seated on the cell that was reserved for them; reservations are dropped.
- An agent that no chunk has is not in the world; it keeps its record and comes back with it.
- Leases begin above every old one, without holder, so a shard of the old world that still runs is fenced.
- Chunk numbers leave a gap, since they are never given twice.
- A world of an older version, without rules of its own, keeps those by which it is settled here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from cluster.chunk_dump import ChunkDump
from cluster.shard.loading import chunk_record
from cluster.world_rules import stored
from cluster.world_run import RUN
from operations.world_dump import WorldDump
from streaming import keys
from world.ids import ChunkId, Tick
from world.inputs import Load
from world.records import AgentRecord
from world.recovery import recover
from world.rules import Rules
from world.shard import ShardWorld

#: An agent's events per tick are fewer, sustained, and so are those of one burst.
EVENTS_PER_TICK: Final = 4
EVENTS_BURST: Final = 1_000
#: More chunks than are made in that time.
CHUNK_NUMBER_GAP: Final = 1_000
#: Ticks by which clocks may be apart.
TICK_MARGIN: Final = 25

TRACE_ID: Final = "restore"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a restored world begins with.

    ``tick``: above every old one.  ``epoch``: lease number above every old one.  ``seq_gap``: what every agent's event
    number leaves out.  ``ts_ms``: wall time of its entries.
    """

    run_id: str
    tick: int
    epoch: int
    seq_gap: int
    next_chunk: int
    ts_ms: int


def beginning(dump: WorldDump, run_id: str, *, now_ms: int, tick_hz: int, there: WorldDump | None = None) -> Beginning:
    """Return a beginning above everything in ``dump``, in the world that is ``there`` now, and on the clock.

    ``now_ms``: Redis' wall time.  The clock counts because the system that the dump is from may have gone on, and
    only the time tells how far.
    """
    worlds = [dump] if there is None else [dump, there]
    epochs = [int(shard.get("epoch", "0")) for world in worlds for shard in world.shards.values()]
    elapsed = max(0, now_ms - int(dump.world["epoch_ms"])) * tick_hz // 1000
    tick = max(elapsed, *(world.tick for world in worlds)) + TICK_MARGIN
    return Beginning(
        run_id=run_id,
        tick=tick,
        seq_gap=EVENTS_BURST + EVENTS_PER_TICK * (tick - dump.tick),
        epoch=max([now_ms // 1000, *(epoch + 1 for epoch in epochs)]),
        next_chunk=max(int(world.world.get("next_chunk", "1")) for world in worlds) + CHUNK_NUMBER_GAP,
        ts_ms=now_ms,
    )


def settle(dump: WorldDump, begin: Beginning, rules: Rules) -> WorldDump:
    """Return the world as it is to be written into an empty Redis.  ``dump`` stays as it is.

    Raises:
        ValueError, KeyError: the dump is not one of a world.
    """
    chunks: dict[str, ChunkDump] = {}
    seated: dict[str, AgentRecord] = {}
    for chunk_id, chunk in dump.chunks.items():
        chunks[chunk_id], records = _settle_chunk(dump, chunk_id, chunk, begin, rules, seated)
        seated |= records
    agents = {id_: _agent(fields, begin.seq_gap, seated.get(id_)) for id_, fields in dump.agents.items()}
    world = {name: value for name, value in dump.world.items() if name != keys.WANTED_SHARDS}
    numbers = {*range(int(world["shard_count"])), *(int(number) for number in dump.shards)}
    return WorldDump(
        world=world | stored(rules.of_world) | {RUN: begin.run_id, "next_chunk": str(begin.next_chunk)},
        shards={
            str(number): {
                "epoch": str(begin.epoch),
                "seq": dump.shards.get(str(number), {}).get("seq", "0"),
                "tick": str(begin.tick),
            }
            for number in sorted(numbers)
        },
        chunks=chunks,
        agents=agents,
        archived=dump.archived,
    )


def try_out(dump: WorldDump, rules: Rules) -> None:
    """Load every chunk of a settled world as a shard will, with the commands that go on, and throw it away.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: a shard could not go on with it.
    """
    seed = int(dump.world["seed"])
    for chunk in dump.chunks.values():
        standing = [AgentRecord.from_json(orjson.loads(dump.agents[id_]["rec"])) for id_ in chunk.members]
        record, placed = recover(chunk_record(_bytes(chunk.fields), seed, rules), _delta(chunk), standing, Tick(-1))
        ShardWorld(rules, seed, 0).apply(Load(record, placed))


def _settle_chunk(
    dump: WorldDump,
    chunk_id: str,
    chunk: ChunkDump,
    begin: Beginning,
    rules: Rules,
    taken: Mapping[str, AgentRecord],
) -> tuple[ChunkDump, dict[str, AgentRecord]]:
    seed = int(dump.world["seed"])
    members = [id_ for id_ in chunk.members if id_ not in taken and _is_in(dump.agents.get(id_), chunk_id)]
    standing = [AgentRecord.from_json(orjson.loads(dump.agents[id_]["rec"])) for id_ in members]
    record, placed = recover(chunk_record(_bytes(chunk.fields), seed, rules), _delta(chunk), standing, Tick(-1))
    arrivals = [_arrival(text, chunk_id) for text in chunk.inbox.values()]
    everybody = {agent.agent_id: agent for agent in [*arrivals, *placed] if agent.agent_id not in taken}
    # The core says what it looks like and finds everybody a cell.  Commands are left out here, so that none can end.
    world = ShardWorld(rules, seed, 0)
    resting = [replace(agent, running=None) for agent in everybody.values()]
    world.apply(Load(replace(record, tick=Tick(begin.tick)), resting))
    payload = world.chunk_delta(ChunkId(chunk_id))
    there = {view["id"]: view for view in payload["agents"]}
    records = {
        id_: replace(agent, x=there[id_]["x"], y=there[id_]["y"]) for id_, agent in everybody.items() if id_ in there
    }
    message = f"0-0 chunk_delta {begin.ts_ms} {TRACE_ID}\n{orjson.dumps(payload).decode()}"
    # What the delta shows belongs into the record too: a chunk that nobody has loaded yet has no nodes in it.
    record, _ = recover(record, payload, [], Tick(begin.tick))
    state = orjson.dumps(record.to_json()).decode()
    settled = ChunkDump(
        fields=chunk.fields | {"state": state},
        members=sorted(str(id_) for id_ in records),
        last_id=f"{begin.tick}-0",
        last=message,
    )
    return settled, {str(id_): agent for id_, agent in records.items()}


def _bytes(fields: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return a hash as Redis gives it."""
    return {name.encode(): value.encode() for name, value in fields.items()}


def _is_in(fields: Mapping[str, str] | None, chunk_id: str) -> bool:
    return fields is not None and fields.get("here") == "1" and fields.get("chunk") == chunk_id and "rec" in fields


def _delta(chunk: ChunkDump) -> dict[str, Any] | None:
    _, newline, payload = chunk.last.partition("\n")
    delta = orjson.loads(payload) if newline else {}
    return delta if "agents" in delta else None


def _arrival(text: str, chunk_id: str) -> AgentRecord:
    arrival = orjson.loads(text)
    record = AgentRecord.from_json(arrival["record"])
    return replace(record, chunk_id=ChunkId(chunk_id), x=arrival["x"], y=arrival["y"])


def _agent(fields: Mapping[str, str], seq_gap: int, record: AgentRecord | None) -> dict[str, str]:
    """Return an agent's hash; ``record`` None: it is not in the world."""
    seq = {"seq": str(int(fields.get("seq", "0")) + seq_gap)}
    if record is None:
        return {**fields, **seq, "here": "0", "busy": ""}
    return {
        **fields,
        **seq,
        "chunk": record.chunk_id,
        "here": "1",
        "busy": record.running.kind if record.running is not None else "",
        "rec": orjson.dumps(record.to_json()).decode(),
    }
