"""The commit script on a real Valkey: lease, number, conditions, and what it writes."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from streaming import keys
from streaming.journal import Batch, Fenced, Journal, ReservationLost


async def acquired(redis: Redis, shard: int = 0) -> Journal:
    journal, _ = await Journal.acquire(redis, shard)
    return journal


def delta(batch: Batch, tick: int, prev: str = "0-0", chunk: str = "chunk-1", minid: str = "0") -> Batch:
    batch.tick = tick
    batch.chunk_entry(chunk, f"{tick}-0", prev, "chunk_delta", 1_000, f"tick-{tick}", b'{"tick":%d}' % tick, minid)
    return batch


async def test_a_commit_appends_and_publishes_the_same_bytes(redis: Redis) -> None:
    pubsub = redis.pubsub()
    await pubsub.subscribe(keys.chunk_stream("chunk-1"))
    await pubsub.get_message(timeout=1)
    await (await acquired(redis)).commit(delta(Batch(), 7, prev="5-0"))
    [(entry_id, fields)] = await redis.xrange(keys.chunk_stream("chunk-1"))
    assert entry_id == b"7-0"
    assert fields == {b"m": b'5-0 chunk_delta 1000 tick-7\n{"tick":7}'}
    published = await pubsub.get_message(timeout=1)
    assert published is not None
    assert published["data"] == b"7-0 " + fields[b"m"]
    await pubsub.aclose()


async def test_a_new_life_finds_the_last_tick_and_fences_the_old_one(redis: Redis) -> None:
    old = await acquired(redis)
    await old.commit(delta(Batch(), 3))
    new, last_tick = await Journal.acquire(redis, 0)
    assert last_tick == 3
    with pytest.raises(Fenced):
        await old.commit(delta(Batch(), 4, prev="3-0"))
    await new.commit(delta(Batch(), 5, prev="3-0"))
    assert [entry_id for entry_id, _ in await redis.xrange(keys.chunk_stream("chunk-1"))] == [b"3-0", b"5-0"]


async def test_a_commit_sent_twice_runs_once(redis: Redis) -> None:
    journal = await acquired(redis)
    batch = Batch(tick=1)
    batch.agent_event("a", "command_ack", "t", b"{}")
    await journal.commit(batch)
    journal.seq -= 1  # as after a lost answer: the same number again
    await journal.commit(batch)
    assert await redis.xlen(keys.agent_stream("a")) == 1
    assert await redis.hget(keys.agent("a"), "seq") == b"1"


async def test_a_lost_answer_is_asked_for_again_and_the_commit_stands_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await acquired(redis)
    real = redis.execute_command
    lost = []

    async def loses_first_answer(*args: object, **options: object) -> object:
        answer = await real(*args, **options)
        if args[0] == "EVALSHA" and not lost:
            lost.append(answer)
            raise RedisConnectionError("answer lost")
        return answer

    await redis.script_load(__import__("streaming.journal", fromlist=["COMMIT"]).COMMIT.source)
    monkeypatch.setattr(redis, "execute_command", loses_first_answer)
    batch = Batch(tick=1)
    batch.agent_event("a", "command_result", "t", b"{}")
    await journal.commit(batch)
    assert lost == [[b"ok"]]
    assert await redis.xlen(keys.agent_stream("a")) == 1
    assert journal.stalled_since is None
    assert journal.stalled_s > 0


async def test_agent_events_are_numbered_densely(redis: Redis) -> None:
    journal = await acquired(redis)
    for _ in range(3):
        batch = Batch(tick=1)
        batch.agent_event("a", "command_ack", "t-1", b"{}")
        batch.agent_event("a", "command_result", "t-1", b"{}")
        await journal.commit(batch)
    entries = await redis.xrange(keys.agent_stream("a"))
    assert [entry_id for entry_id, _ in entries] == [b"%d-0" % n for n in range(1, 7)]
    assert [fields[b"m"].split(b" ")[0] for _, fields in entries] == [b"%d-0" % n for n in range(6)]


async def test_a_departure_needs_its_reservation(redis: Redis) -> None:
    source, target = await acquired(redis, 0), await acquired(redis, 1)
    leaving = Batch(tick=4)
    leaving.departure("chunk-2", (0, 24), "h-1", b"{}")
    leaving.agent_record("a", "chunk-2", here=True, busy="", record=b"{}")
    with pytest.raises(ReservationLost) as lost:
        await source.commit(leaving)
    assert lost.value.handoffs == ["h-1"]
    assert not await redis.exists(keys.agent("a"), keys.inbox("chunk-2"))

    promise = Batch(tick=4)
    promise.reserve("chunk-2", (0, 24), "h-1", 5_000)
    await target.commit(promise)
    await source.commit(leaving)
    assert await redis.hget(keys.agent("a"), "chunk") == b"chunk-2"
    assert await redis.hgetall(keys.inbox("chunk-2")) == {b"h-1": b"{}"}

    seating = Batch(tick=5)
    seating.seated("chunk-2", (0, 24), "h-1")
    await target.commit(seating)
    assert not await redis.exists(keys.inbox("chunk-2"), keys.reservations("chunk-2"))


async def test_a_promise_that_has_run_out_or_is_anothers_does_not_count(redis: Redis) -> None:
    source, target = await acquired(redis, 0), await acquired(redis, 1)
    promise = Batch(tick=1)
    promise.reserve("chunk-2", (0, 24), "h-1", 1)
    promise.reserve("chunk-2", (0, 25), "h-2", 5_000)
    await target.commit(promise)
    await asyncio.sleep(0.01)
    leaving = Batch(tick=2)
    leaving.departure("chunk-2", (0, 24), "h-1", b"{}")
    leaving.departure("chunk-2", (0, 25), "h-3", b"{}")
    with pytest.raises(ReservationLost) as lost:
        await source.commit(leaving)
    assert lost.value.handoffs == ["h-1", "h-3"]


async def test_a_promise_is_taken_back_only_by_its_own_handoff(redis: Redis) -> None:
    journal = await acquired(redis)
    batch = Batch(tick=1)
    batch.reserve("chunk-2", (0, 24), "h-1", 5_000)
    batch.unreserve("chunk-2", (0, 24), "h-2")
    await journal.commit(batch)
    assert await redis.hexists(keys.reservations("chunk-2"), "0,24")
    again = Batch(tick=1)
    again.unreserve("chunk-2", (0, 24), "h-1")
    await journal.commit(again)
    assert not await redis.exists(keys.reservations("chunk-2"))


async def test_members_and_population_agree_whatever_is_said_twice(redis: Redis) -> None:
    journal = await acquired(redis)
    batch = Batch(tick=1)
    for joined in (True, True, False, False, True):
        batch.member("chunk-1", "a", joined=joined)
    batch.member("chunk-1", "b", joined=True)
    await journal.commit(batch)
    assert await redis.smembers(keys.members("chunk-1")) == {b"a", b"b"}
    assert await redis.hget(keys.POPULATION, "chunk-1") == b"2"


async def test_the_slot_is_freed_only_by_its_own_command(redis: Redis) -> None:
    journal = await acquired(redis)
    await redis.set(keys.inflight("a"), "cmd-2")
    batch = Batch(tick=1)
    batch.free_inflight("a", "cmd-1")
    await journal.commit(batch)
    assert await redis.get(keys.inflight("a")) == b"cmd-2"
    other = Batch(tick=1)
    other.free_inflight("a", "cmd-2")
    await journal.commit(other)
    assert await redis.get(keys.inflight("a")) is None


async def test_old_entries_go_and_the_newest_stays(redis: Redis) -> None:
    journal = await acquired(redis)
    prev = "0-0"
    for tick in range(1, 1_001):
        await journal.commit(delta(Batch(), tick, prev=prev, minid=str(max(0, tick - 300))))
        prev = f"{tick}-0"
    entries = await redis.xrange(keys.chunk_stream("chunk-1"))
    assert entries[-1][0] == b"1000-0"
    assert 300 <= len(entries) <= 420  # trimming is by whole nodes of the stream
    await journal.commit(delta(Batch(), 9_000, prev=prev, minid="8700"))
    assert (await redis.xrevrange(keys.chunk_stream("chunk-1"), count=1))[0][0] == b"9000-0"
