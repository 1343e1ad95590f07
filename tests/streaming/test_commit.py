"""What ``Batch`` writes is what the script reads: each operation alone, with others around it, and none unknown.

What the script checks before it writes is asked in ``test_journal.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ResponseError

from streaming import keys
from streaming.commit import AgentEvent, Batch, Prolonged
from streaming.journal import Journal

ACK = AgentEvent("command_ack", 1, "t", b"{}")

#: Each operation, and the key that it changes.
OPERATIONS: dict[str, tuple[Callable[[Batch], None], str]] = {
    "chunk_entry": (
        lambda batch: batch.chunk_entry("chunk-1", "7-0", "0-0", "chunk_delta", 1, "t", b"{}", "0"),
        keys.chunk_stream("chunk-1"),
    ),
    "agent_events": (lambda batch: batch.agent_events("ada", [ACK]), keys.agent_stream("ada")),
    "agent_events two in one": (lambda batch: batch.agent_events("ada", [ACK, ACK]), keys.agent_stream("ada")),
    "agent_record with events": (
        lambda batch: batch.agent_record("ada", "chunk-1", here=True, busy="", record=b"{}", events=[ACK]),
        keys.agent_stream("ada"),
    ),
    "agent_record": (
        lambda batch: batch.agent_record("ada", "chunk-1", here=True, busy="", record=b"{}"),
        keys.agent("ada"),
    ),
    "chunk_state": (lambda batch: batch.chunk_state("chunk-1", b"{}"), keys.chunk("chunk-1")),
    "chunk_static": (lambda batch: batch.chunk_static("chunk-1", b"{}"), keys.chunk_static("chunk-1")),
    "member joins": (lambda batch: batch.member("chunk-1", "ada", joined=True), keys.members("chunk-1")),
    "member leaves": (lambda batch: batch.member("chunk-9", "eve", joined=False), keys.members("chunk-9")),
    "departure": (lambda batch: batch.departure("chunk-3", (1, 2), "h-3", b"{}"), keys.inbox("chunk-3")),
    "seated": (lambda batch: batch.seated("chunk-4", (1, 2), "h-4"), keys.inbox("chunk-4")),
    "reserve": (lambda batch: batch.reserve("chunk-2", (1, 2), "h-2", 5_000), keys.reservations("chunk-2")),
    "archive": (lambda batch: batch.archive(b"{}"), keys.ARCHIVE_STREAM),
    "recorded": (lambda batch: batch.recorded(0, "1 0 ab", b"{}"), keys.RECORDING_STREAM),
}
#: What makes no operation, but a condition for all.
CONDITIONS = {"only_if_bound", "only_if_not_refused"}
SENTINEL = keys.chunk_static("sentinel")


async def prepared(redis: Any) -> Journal:
    """A world in which every operation changes something."""
    await redis.sadd(keys.members("chunk-9"), "eve")
    await redis.hset(keys.inbox("chunk-4"), "h-4", "{}")
    await redis.hset(keys.reservations("chunk-3"), "1,2", f"h-3 {10**15}")
    journal, _ = await Journal.acquire(redis, 0)
    return journal


async def dump(redis: Any, key: str) -> bytes | None:
    found: bytes | None = await redis.dump(key)
    return found


def test_every_operation_is_tried_here() -> None:
    methods = {name for name in vars(Batch) if not name.startswith("_")} - {"tick", "conditions", "ops", "chunk_bytes"}
    assert methods == {name.split()[0] for name in OPERATIONS} | CONDITIONS


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_is_read_as_it_is_written(redis: Any, name: str) -> None:
    """What follows it is still understood, so the script took as many words as there are."""
    journal = await prepared(redis)
    add, key = OPERATIONS[name]
    before = await dump(redis, key)
    batch = Batch(tick=1)
    add(batch)
    batch.chunk_static("sentinel", b"reached")
    await journal.commit(batch)
    assert await dump(redis, key) != before
    assert await redis.get(SENTINEL) == b"reached"


async def test_all_of_them_in_one_commit(redis: Any) -> None:
    journal = await prepared(redis)
    before = {key: await dump(redis, key) for _, key in OPERATIONS.values()}
    batch = Batch(tick=1)
    for add, _ in OPERATIONS.values():
        add(batch)
    await journal.commit(batch)
    assert not [key for key, was in before.items() if await dump(redis, key) == was]
    assert await redis.hmget(keys.shard(0), "seq", "tick") == [b"1", b"1"]


async def test_an_unknown_operation_is_an_error_and_not_passed_over(redis: Any) -> None:
    journal = await prepared(redis)
    batch = Batch(tick=1)
    batch.ops += ("?", "chunk-1")
    with pytest.raises(ResponseError, match="unknown op"):
        await journal.commit(batch)
    assert await redis.hget(keys.shard(0), "seq") is None


async def test_facts_name_the_one_before_them(redis: Any) -> None:
    """So that the archiver sees what a server that lost its end undid."""
    journal = await prepared(redis)
    for tick in (1, 2):
        batch = Batch(tick=tick)
        batch.archive(b"{}")
        batch.archive(b"{}")
        await journal.commit(batch)
    entries = await redis.xrange(keys.ARCHIVE_STREAM)
    assert [fields[b"p"] for _, fields in entries] == [b"0-0", *(id_ for id_, _ in entries[:-1])]


async def test_an_agents_stream_is_bounded_in_number_and_time(redis: Any) -> None:
    journal = await prepared(redis)
    batch = Batch(tick=1)
    for _ in range(keys.AGENT_STREAM_MAXLEN + 300):
        batch.agent_events("ada", [ACK])
    await journal.commit(batch)
    # Trimming is by whole nodes of the stream, of a hundred entries.
    assert keys.AGENT_STREAM_MAXLEN <= await redis.xlen(keys.agent_stream("ada")) <= keys.AGENT_STREAM_MAXLEN + 100
    assert keys.PROLONGED_S - 60 < await redis.ttl(keys.agent_stream("ada")) <= keys.PROLONGED_S


async def test_what_a_command_costs_the_server(redis: Any) -> None:
    """Few calls: one entry and one message for its challenge and ack, the number in the stream beside the record."""
    journal = await prepared(redis)
    await journal.commit(Batch())  # so that the server knows the script
    batch = Batch(tick=1)
    batch.only_if_not_refused("s-1", 10**13)
    events = [AgentEvent("command_challenge", 1, "t", b"{}"), ACK]
    batch.agent_record("ada", "chunk-1", here=True, busy="move_to", record=b"{}", events=events, prolong=False)
    await redis.config_resetstat()
    await journal.commit(batch)
    stats = await redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items() if "config" not in name}
    assert calls == {
        "evalsha": 1,
        "hmget": 1,
        "time": 1,
        "hget": 2,
        "xadd": 1,
        "publish": 1,
        "hset": 2,
    }


async def test_the_life_of_an_agents_stream_is_prolonged_when_it_is_due(redis: Any) -> None:
    journal = await prepared(redis)
    key, kept_s = keys.agent_stream("ada"), 1_000
    for prolong, record in ((False, False), (False, True), (True, False), (True, True)):
        batch = Batch(tick=1)
        if record:
            batch.agent_record("ada", "c", here=True, busy="", record=b"{}", events=[ACK], prolong=prolong)
        else:
            batch.agent_events("ada", [ACK], prolong=prolong)
        await redis.expire(key, kept_s)
        await journal.commit(batch)
        assert (await redis.ttl(key) > keys.AGENT_STREAM_TTL_S) is prolong


def test_a_stream_is_prolonged_once_an_hour_and_all_of_them_after_a_reload() -> None:
    hour_ms = keys.PROLONG_EVERY_S * 1000
    prolonged, now_ms = Prolonged(), 5 * hour_ms
    assert [prolonged.is_due(agent, now_ms) for agent in ("a", "b", "a", "b")] == [True, True, False, False]
    assert not prolonged.is_due("a", now_ms + hour_ms - 1)
    assert prolonged.is_due("a", now_ms + hour_ms)
    prolonged.forget()
    assert prolonged.is_due("a", now_ms + hour_ms)


def test_conditions_alone_are_no_commit() -> None:
    batch = Batch(tick=1)
    batch.only_if_bound("ada", "chunk-1")
    batch.only_if_not_refused("s-1", 1_000)
    assert not batch
    assert len(batch.conditions) % 4 == 0


async def test_where_the_recording_has_come_to_stands_with_the_lease(redis: Any) -> None:
    """In the very commit: an entry that is not in the stream is not said to be, and the other way round."""
    journal = await prepared(redis)
    for n in range(3):
        batch = Batch(tick=n)
        batch.recorded(0, f"1 {n} ab", b"entry")
        await journal.commit(batch)
    batch = Batch(tick=3)
    batch.chunk_static("sentinel", b"no entry")
    await journal.commit(batch)
    assert await redis.hmget(keys.shard(0), ["tick", "recorded"]) == [b"3", b"1 2 ab"]
    entries = await redis.xrange(keys.RECORDING_STREAM)
    assert [fields[b"p"] for _, fields in entries] == [b"1 0 ab", b"1 1 ab", b"1 2 ab"]
    assert entries[0][1] == {b"s": b"0", b"p": b"1 0 ab", b"m": b"entry"}
