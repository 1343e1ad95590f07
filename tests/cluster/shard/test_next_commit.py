"""What parts add to the next commit comes into it once, after the core's output, with the commit's own tick."""

from __future__ import annotations

import json
from typing import cast

from cluster.shard.memory import ShardMemory
from cluster.shard.next_commit import NextCommit
from streaming.commit import Batch
from tests.cluster.shard.parts import memory_with_hall
from world.ids import HALL, AgentId, ChunkId
from world.inputs import Join
from world.records import AgentRecord


def take(coming: NextCommit, memory: ShardMemory, tick: int = 12) -> Batch:
    return coming.take(memory.world.take(), memory.world, tick=tick, ts_ms=1, window_ticks=300)


def notices(batch: Batch) -> list[tuple[object, object, object, object]]:
    """Agent, kind, trace and payload of every event for an agent's followers."""
    last = {"E": 4, "U": 8}
    found = [(batch.ops[at + 1], batch.ops[at + last[str(word)]]) for at, word in enumerate(batch.ops) if word in last]
    events: list[tuple[object, object, object, object]] = []
    for agent, message in found:
        head, payload = cast("bytes", message).decode().split("\n")
        kind, _, trace = head.split(" ")
        events.append((agent, kind, trace, json.loads(payload)))
    return events


def test_nothing_added_and_nothing_decided_is_no_commit() -> None:
    assert not take(NextCommit(), memory_with_hall())


def test_operations_and_conditions_keep_their_order_and_are_taken_once() -> None:
    coming, memory = NextCommit(), memory_with_hall()
    coming.additions.reserve("chunk-1", (0, 24), "ho-1", 10_000)
    coming.additions.seated("chunk-1", (0, 24), "ho-1")
    coming.additions.only_if_bound("a", "chunk-0")
    batch = take(coming, memory)
    assert batch.ops == ["V", "chunk-1", "0,24", "ho-1", 10_000, "Z", "chunk-1", "0,24", "ho-1"]
    assert batch.conditions == ["A", "a", "chunk-0", ""]
    assert not take(coming, memory)


def test_what_is_added_comes_after_what_the_core_has_decided() -> None:
    coming, memory = NextCommit(), memory_with_hall()
    coming.placed("a", HALL, 25, 24)
    memory.world.apply(Join(AgentRecord(AgentId("a"), HALL, 25, 24), HALL, (25, 24)))
    batch = take(coming, memory)
    assert [kind for _, kind, _, _ in notices(batch)] == ["agent_private_delta", "agent_placed"]
    assert batch.ops[-5] == "E"


def test_a_notice_bears_the_tick_of_the_commit_that_shows_it() -> None:
    coming, memory = NextCommit(), memory_with_hall()
    coming.placed("a", HALL, 25, 24)
    coming.removed("b")
    first, second = notices(take(coming, memory, tick=17))
    place = {"agent_id": "a", "chunk_id": HALL, "x": 25, "y": 24, "tick": 17}
    assert first == ("a", "agent_placed", "tick-17", place)
    assert second == ("b", "agent_removed", "tick-17", {"agent_id": "b", "tick": 17})


def test_statics_of_a_chunk_that_went_in_the_same_turn_are_left_out() -> None:
    coming, memory = NextCommit(), memory_with_hall()
    output = memory.world.take()
    output.statics += [HALL, ChunkId("chunk-9")]
    batch = coming.take(output, memory.world, tick=12, ts_ms=1, window_ticks=300)
    assert batch.ops[:2] == ["T", HALL]
    assert "chunk-9" not in batch.ops


def test_each_delta_names_the_one_before_it() -> None:
    coming, memory = NextCommit(), memory_with_hall()
    coming.last_ids[HALL] = "9-0"
    memory.world.apply(Join(AgentRecord(AgentId("a"), HALL, 25, 24), HALL, (25, 24)))
    memory.world.step(12)
    batch = take(coming, memory)
    [at] = [at for at, word in enumerate(batch.ops) if word == "D"]
    assert str(batch.ops[at + 4]).startswith("b'9-0 chunk_delta 1 ")
    assert coming.last_ids[HALL] == batch.ops[at + 2]


def test_a_world_that_is_loaded_anew_leaves_nothing_to_write() -> None:
    coming = NextCommit(last_ids={HALL: "9-0"})
    coming.additions.chunk_static(HALL, b"{}")
    coming.additions.only_if_not_refused("cmd-1", 5)
    coming.removed("a")
    coming.forget()
    assert coming == NextCommit()
