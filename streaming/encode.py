"""The operations of one commit, made of what the core has decided.

Everything is encoded here, once: a delta's bytes are the same for the stream, for Pub/Sub and for every reader.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, MutableMapping
from typing import Any

import orjson

from streaming.commit import Batch
from world.ids import ChunkId
from world.outputs import Output
from world.records import AgentRecord

Static = Callable[[ChunkId], dict[str, Any]]

#: When a challenge was issued (ms of Unix time), and its payload.
IssuedChallenge = tuple[int, bytes]


def encode_output(
    batch: Batch,
    output: Output,
    *,
    tick: int,
    ts_ms: int,
    window_ticks: int,
    last_ids: MutableMapping[str, str],
    here: Container[str],
    static: Static,
    challenges: Mapping[str, IssuedChallenge],
) -> None:
    """Append the operations of ``output`` to ``batch``.

    Args:
        tick: the shard's present tick, written as the time of the agents' records.
        ts_ms: wall time for the envelopes.
        window_ticks: how far back a chunk's stream is kept.
        last_ids: id of the newest entry of each chunk's stream; brought up to date here.
        here: agents that stand in this shard after the output.
        static: gives the ``chunk_static`` payload of a chunk.
        challenges: of commands that are decided here, those that no stream has yet: written before the ack.
    """
    batch.tick = tick
    for departure in output.departures:
        cell = (departure.x, departure.y)
        arrival = orjson.dumps({"record": departure.record.to_json(), "x": departure.x, "y": departure.y})
        batch.departure(departure.to_chunk, cell, departure.handoff_id, arrival)
        _record(batch, departure.record, here=True)  # under way counts as in the world: the inbox has it
    for agent_id, record in output.agents.items():
        _record(batch, record, here=agent_id in here)
    for chunk_id, agent_id, joined in output.members:
        batch.member(chunk_id, agent_id, joined=joined)
    for event in output.private:
        if event.kind == "command_ack" and (challenge := challenges.get(event.payload["server_cmd_id"])):
            batch.challenge(event.agent_id, challenge[0], event.trace_id, challenge[1])
        batch.agent_event(event.agent_id, event.kind, event.trace_id, orjson.dumps(event.payload))
        if event.kind == "command_ack":
            batch.free_inflight(event.agent_id, event.payload["server_cmd_id"])
    for chunk_id in output.statics:
        batch.chunk_static(chunk_id, orjson.dumps(static(chunk_id)))
    for chunk_id, chunk_record in output.chunks.items():
        batch.chunk_state(chunk_id, orjson.dumps(chunk_record.to_json()))
    for delta in output.deltas:
        entry_id = f"{delta.tick}-0"
        payload = orjson.dumps(delta.payload)
        minid = str(max(0, delta.tick - window_ticks))
        prev = last_ids.get(delta.chunk_id, "0-0")
        batch.chunk_entry(delta.chunk_id, entry_id, prev, "chunk_delta", ts_ms, f"tick-{delta.tick}", payload, minid)
        last_ids[delta.chunk_id] = entry_id
    for fact in output.archive:
        batch.archive(orjson.dumps(fact))


def _record(batch: Batch, record: AgentRecord, *, here: bool) -> None:
    busy = record.running.kind if record.running is not None else ""
    batch.agent_record(record.agent_id, record.chunk_id, here=here, busy=busy, record=orjson.dumps(record.to_json()))
