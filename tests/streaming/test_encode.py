"""What the core has decided as operations of one commit: what is written, in which order, on which conditions."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streaming import keys
from streaming.commit import Batch, Prolonged
from streaming.encode import IssuedChallenge, encode_output
from streaming.entry import from_stream
from streaming.journal import Journal
from tests.streaming.writer import read_events
from world.ids import AgentId, ChunkId, HandoffId, ServerCmdId, Tick
from world.outputs import ChunkDelta, Departure, Output, PrivateEvent
from world.records import AgentRecord, RunningCommand

WINDOW_TICKS = 100
ADA, BOB = AgentId("ada"), AgentId("bob")
HERE, THERE = ChunkId("chunk-1"), ChunkId("chunk-2")


def record(agent_id: AgentId = ADA, chunk_id: ChunkId = HERE, running: RunningCommand | None = None) -> AgentRecord:
    return AgentRecord(agent_id=agent_id, chunk_id=chunk_id, x=3, y=4, running=running)


def encoded(
    output: Output,
    last_ids: dict[str, str] | None = None,
    here: set[str] | None = None,
    challenges: dict[str, IssuedChallenge] | None = None,
) -> Batch:
    batch = Batch()
    encode_output(
        batch,
        output,
        tick=output.tick,
        ts_ms=1_000,
        window_ticks=WINDOW_TICKS,
        last_ids={} if last_ids is None else last_ids,
        here=here or set(),
        static=lambda chunk_id: {"chunk_id": chunk_id},
        challenges=challenges or {},
        prolonged=Prolonged(),
    )
    return batch


async def written(redis: Any, output: Output, **how: Any) -> None:
    """Commit an output for real."""
    journal, _ = await Journal.acquire(redis, 0)
    await journal.commit(encoded(output, **how))


def test_nothing_becomes_nothing() -> None:
    batch = encoded(Output(Tick(7)))
    assert (batch.ops, batch.conditions, batch.tick, bool(batch)) == ([], [], 7, False)


async def test_deltas_form_a_chain_and_the_last_ids_go_on(redis: Any) -> None:
    last_ids = {"chunk-1": "6-0"}
    deltas = [ChunkDelta(chunk, Tick(tick), {"tick": tick}) for chunk, tick in ((HERE, 7), (THERE, 7), (HERE, 8))]
    await written(redis, Output(Tick(8), deltas=deltas), last_ids=last_ids)
    assert last_ids == {"chunk-1": "8-0", "chunk-2": "7-0"}
    key = keys.chunk_stream("chunk-1")
    entries = [from_stream(key, id_, fields[b"m"]) for id_, fields in await redis.xrange(key)]
    assert [(entry.prev, entry.id, entry.fields()) for entry in entries] == [
        ((6, 0), (7, 0), {"tick": 7}),
        ((7, 0), (8, 0), {"tick": 8}),
    ]
    assert {(entry.kind, entry.ts_ms) for entry in entries} == {("chunk_delta", 1_000)}


@pytest.mark.parametrize(("tick", "minid"), [(5, "0"), (WINDOW_TICKS + 5, "5")])
def test_a_chunks_stream_is_kept_for_the_window(tick: int, minid: str) -> None:
    batch = encoded(Output(Tick(tick), deltas=[ChunkDelta(HERE, Tick(tick), {})]))
    assert minid in batch.ops


async def test_records_say_who_is_here_and_what_runs(redis: Any) -> None:
    busy = RunningCommand("harvest", ServerCmdId("s-1"), "c-1", "t", Tick(2), 1, {"node_id": "chunk-1-node-0"})
    agents = {ADA: record(running=busy), BOB: record(BOB)}
    await written(redis, Output(Tick(3), agents=agents), here={"ada"})
    ada, bob = [await redis.hgetall(keys.agent(agent)) for agent in ("ada", "bob")]
    assert (ada[b"here"], ada[b"busy"], ada[b"at"], ada[b"chunk"]) == (b"1", b"harvest", b"3", b"chunk-1")
    assert (bob[b"here"], bob[b"busy"]) == (b"0", b"")
    assert AgentRecord.from_json(orjson.loads(ada[b"rec"])) == agents[ADA]


async def test_an_agents_events_and_its_record_are_one_operation_in_their_order(redis: Any) -> None:
    private = [
        PrivateEvent(ADA, "command_result", {"n": 1}, "t-1"),
        PrivateEvent(BOB, "command_result", {"n": 2}, "t-2"),
        PrivateEvent(ADA, "agent_private_delta", {"n": 3}, "t-3"),
    ]
    output = Output(Tick(3), private=private, agents={ADA: record()})
    assert [word for word in encoded(output).ops if word in ("U", "E", "R")] == ["U", "E"]
    await written(redis, output)
    assert [(e.kind, e.fields()["n"]) for e in await read_events(redis, "ada")] == [
        *(("command_result", 1), ("agent_private_delta", 3))
    ]
    assert [e.fields()["n"] for e in await read_events(redis, "bob")] == [2]
    assert await redis.xlen(keys.agent_stream("ada")) == 1
    assert await redis.hmget(keys.agent("ada"), "seq", "at") == [b"2", b"3"]


async def test_a_challenge_stands_before_its_ack_with_its_own_time_and_the_trace_of_its_command(redis: Any) -> None:
    private = [
        PrivateEvent(ADA, "command_result", {"server_cmd_id": "s-0"}, "t-0"),
        PrivateEvent(ADA, "command_ack", {"server_cmd_id": "s-1"}, "t-1"),
        PrivateEvent(ADA, "command_ack", {"server_cmd_id": "s-2"}, "t-2"),
    ]
    await written(redis, Output(Tick(3), private=private), challenges={"s-1": (77, b'{"nonce":"n"}')})
    entries = await read_events(redis, "ada")
    assert [(entry.kind, entry.trace_id) for entry in entries] == [
        *(("command_result", "t-0"), ("command_challenge", "t-1"), ("command_ack", "t-1"), ("command_ack", "t-2"))
    ]
    assert (entries[1].ts_ms, entries[1].fields(), entries[1].prev) == (77, {"nonce": "n"}, (1, 0))
    assert entries[2].ts_ms > 77


async def test_a_departure_is_conditional_and_counts_as_in_the_world(redis: Any) -> None:
    leaving = Departure(HandoffId("h-1"), record(chunk_id=THERE), HERE, THERE, 0, 24)
    output = Output(Tick(3), departures=[leaving], members=[(HERE, ADA, False), (THERE, ADA, True)])
    assert encoded(output).conditions == ["P", "h-1", "chunk-2", "0,24"]
    await redis.hset(keys.reservations("chunk-2"), "0,24", f"h-1 {10**15}")
    await written(redis, output)
    [arrival] = await redis.hvals(keys.inbox("chunk-2"))
    assert orjson.loads(arrival) == {"record": leaving.record.to_json(), "x": 0, "y": 24}
    assert await redis.hmget(keys.agent("ada"), "here", "chunk") == [b"1", b"chunk-2"]
    assert await redis.smembers(keys.members("chunk-2")) == {b"ada"}


async def test_statics_are_asked_for_and_facts_kept(redis: Any) -> None:
    await written(redis, Output(Tick(3), statics=[HERE], archive=[{"fact": "join", "tick": 3}]))
    assert await redis.get(keys.chunk_static("chunk-1")) == b'{"chunk_id":"chunk-1"}'
    [(_, fact)] = await redis.xrange(keys.ARCHIVE_STREAM)
    assert orjson.loads(fact[b"m"]) == {"fact": "join", "tick": 3}
