"""The operations of one commit, made of what the core has decided.

Everything is encoded here, once: a delta's bytes are the same for the stream, for Pub/Sub and for every reader.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, MutableMapping
from typing import Any

import orjson

from streaming.commit import AgentEvent, Batch, Prolonged
from world.ids import AgentId, ChunkId
from world.outputs import Output

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
    prolonged: Prolonged,
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
        prolonged: the agents' streams that live for long enough; brought up to date here.
    """
    batch.tick = tick
    events = _events_by_agent(output, ts_ms, challenges)
    for departure in output.departures:
        cell = (departure.x, departure.y)
        arrival = orjson.dumps({"record": departure.record.to_json(), "x": departure.x, "y": departure.y})
        batch.departure(departure.to_chunk, cell, departure.handoff_id, arrival)
    # Those under way count as in the world: the inbox has them.
    records = [(departure.record, True) for departure in output.departures]
    records += [(record, agent_id in here) for agent_id, record in output.agents.items()]
    for record, is_here in records:
        agent_id = record.agent_id
        batch.agent_record(
            agent_id,
            record.chunk_id,
            here=is_here,
            busy=record.running.kind if record.running is not None else "",
            record=orjson.dumps(record.to_json()),
            events=events.get(agent_id, ()),
            prolong=agent_id in events and prolonged.is_due(agent_id, ts_ms),
        )
        events.pop(agent_id, None)
    for agent_id, some in events.items():
        batch.agent_events(agent_id, some, prolong=prolonged.is_due(agent_id, ts_ms))
    for chunk_id, agent_id, joined in output.members:
        batch.member(chunk_id, agent_id, joined=joined)
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


def _events_by_agent(
    output: Output, ts_ms: int, challenges: Mapping[str, IssuedChallenge]
) -> dict[AgentId, list[AgentEvent]]:
    """Return what goes into each agent's stream, in order: a command's challenge before its ack."""
    found: dict[AgentId, list[AgentEvent]] = {}
    for event in output.private:
        events = found.setdefault(event.agent_id, [])
        if event.kind == "command_ack" and (challenge := challenges.get(event.payload["server_cmd_id"])):
            issued_ms, payload = challenge
            events.append(AgentEvent("command_challenge", issued_ms, event.trace_id, payload))
        events.append(AgentEvent(event.kind, ts_ms, event.trace_id, orjson.dumps(event.payload)))
    return found
