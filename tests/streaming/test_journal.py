"""The commit script on a real Valkey: lease, number, conditions, and what it writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from streaming import keys
from streaming.commit import COMMIT, REFUSAL_KNOWN_MS, AgentEvent, Batch
from streaming.journal import CommitRefused, Fenced, Journal
from streaming.shared_clock import now_ms
from tests.streaming.writer import events_in


async def acquired(redis: Any, shard: int = 0) -> Journal:
    journal, _ = await Journal.acquire(redis, shard)
    return journal


def delta(batch: Batch, tick: int, prev: str = "0-0", chunk: str = "chunk-1", minid: str = "0") -> Batch:
    batch.tick = tick
    batch.chunk_entry(chunk, f"{tick}-0", prev, "chunk_delta", 1_000, f"tick-{tick}", b'{"tick":%d}' % tick, minid)
    return batch


async def test_a_commit_appends_and_publishes_the_same_bytes(redis: Any) -> None:
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


async def test_a_new_life_finds_the_last_tick_and_fences_the_old_one(redis: Any) -> None:
    old = await acquired(redis)
    await old.commit(delta(Batch(), 3))
    new, last_tick = await Journal.acquire(redis, 0)
    assert last_tick == 3
    with pytest.raises(Fenced):
        await old.commit(delta(Batch(), 4, prev="3-0"))
    await new.commit(delta(Batch(), 5, prev="3-0"))
    assert [entry_id for entry_id, _ in await redis.xrange(keys.chunk_stream("chunk-1"))] == [b"3-0", b"5-0"]


async def test_a_commit_sent_twice_runs_once(redis: Any) -> None:
    journal = await acquired(redis)
    batch = Batch(tick=1)
    batch.agent_events("a", [AgentEvent("command_ack", 1, "t", b"{}")])
    await journal.commit(batch)
    journal.seq -= 1  # as after a lost answer: the same number again
    await journal.commit(batch)
    assert await redis.xlen(keys.agent_stream("a")) == 1
    assert await redis.hget(keys.agent("a"), "seq") == b"1"


async def test_a_lost_answer_is_asked_for_again_and_the_commit_stands_once(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await acquired(redis)
    real = redis.execute_command
    lost: list[object] = []

    async def loses_first_answer(*args: object, **options: object) -> object:
        answer = await real(*args, **options)
        if args[0] == "EVALSHA" and not lost:
            lost.append(answer)
            raise RedisConnectionError("answer lost")
        return answer

    await redis.script_load(COMMIT.source)
    monkeypatch.setattr(redis, "execute_command", loses_first_answer)
    batch = Batch(tick=1)
    batch.agent_events("a", [AgentEvent("command_result", 1, "t", b"{}")])
    await journal.commit(batch)
    assert lost == [[b"ok"]]
    assert await redis.xlen(keys.agent_stream("a")) == 1
    assert journal.stalled_since is None
    assert journal.stalled_s > 0


async def test_commits_go_on_when_the_server_has_forgotten_its_scripts(redis: Any) -> None:
    """As after a restart or a failover, between two commits and while the answer of one is under way."""
    journal = await acquired(redis)
    for tick in range(1, 4):
        await redis.script_flush()
        batch = Batch(tick=tick)
        batch.agent_events("a", [AgentEvent("command_ack", 1, "t", b"{}")])
        await journal.commit(batch)
        await redis.script_flush()
        journal.seq -= 1  # as after a lost answer: the same number again
        await journal.commit(batch)
    assert await redis.hget(keys.agent("a"), "seq") == b"3"
    assert await redis.xlen(keys.agent_stream("a")) == 3
    assert journal.stalled_s == 0
    await redis.script_flush()
    await journal.renew()
    assert (journal.epoch, journal.seq) == (2, 3)


async def test_a_lost_answer_to_the_source_is_asked_for_again(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server runs the script when it is sent the source; what comes after finds that it has."""
    journal = await acquired(redis)
    await redis.script_flush()
    real = redis.execute_command
    sent: list[object] = []

    async def loses_the_answer_to_the_source(*args: object, **options: object) -> object:
        sent.append(args[0])
        answer = await real(*args, **options)
        if args[0] == "EVAL":
            raise RedisConnectionError("answer lost")
        return answer

    monkeypatch.setattr(redis, "execute_command", loses_the_answer_to_the_source)
    batch = Batch(tick=1)
    batch.agent_events("a", [AgentEvent("command_result", 1, "t", b"{}")])
    await journal.commit(batch)
    assert sent == ["EVALSHA", "EVAL", "EVALSHA"]
    assert await redis.xlen(keys.agent_stream("a")) == 1


async def test_a_known_script_is_one_command_without_its_source(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await acquired(redis)
    await journal.commit(delta(Batch(), 1))
    sent: list[tuple[object, ...]] = []
    real = redis.execute_command

    async def noting(*args: object, **options: object) -> object:
        sent.append(args)
        return await real(*args, **options)

    monkeypatch.setattr(redis, "execute_command", noting)
    batch = delta(Batch(), 2, prev="1-0")
    await journal.commit(batch)
    [words] = sent
    assert words[:4] == ("EVALSHA", COMMIT.sha, 1, keys.shard(0))
    assert words[4:9] == (1, 2, 2, 1, 0)
    assert words[9:] == tuple(batch.ops)


async def test_agent_events_are_numbered_densely(redis: Any) -> None:
    """Whether they come alone, several in one, or with a record."""
    journal = await acquired(redis)
    for _ in range(2):
        batch = Batch(tick=1)
        batch.agent_events("a", [AgentEvent("command_ack", 1, "t-1", b"{}")])
        both = [AgentEvent("command_challenge", 5, "t-2", b'{"n":1}'), AgentEvent("command_ack", 6, "t-3", b"{}")]
        batch.agent_record("a", "chunk-1", here=True, busy="", record=b"{}", events=both)
        batch.agent_events("a", both)
        await journal.commit(batch)
    entries = await redis.xrange(keys.agent_stream("a"))
    assert [entry_id for entry_id, _ in entries] == [b"1-0", b"3-0", b"5-0", b"6-0", b"8-0", b"10-0"]
    assert [fields[b"m"].split(b" ")[0] for _, fields in entries] == [b"0-0", b"1-0", b"3-0", b"5-0", b"6-0", b"8-0"]
    assert await redis.hget(keys.agent("a"), "seq") == b"10"
    events = events_in(keys.agent_stream("a"), entries)
    assert [(event.id, event.prev) for event in events] == [((n, 0), (n - 1, 0)) for n in range(1, 11)]
    assert [(e.kind, e.ts_ms, e.trace_id, e.payload) for e in events[1:3]] == [
        *(("command_challenge", 5, "t-2", b'{"n":1}'), ("command_ack", 6, "t-3", b"{}"))
    ]


async def test_a_departure_needs_its_reservation(redis: Any) -> None:
    source, target = await acquired(redis, 0), await acquired(redis, 1)
    leaving = Batch(tick=4)
    leaving.departure("chunk-2", (0, 24), "h-1", b"{}")
    leaving.agent_record("a", "chunk-2", here=True, busy="", record=b"{}")
    with pytest.raises(CommitRefused) as refused:
        await source.commit(leaving)
    assert refused.value.lost == ["h-1"]
    assert not await redis.exists(keys.agent("a"), keys.inbox("chunk-2"))

    reservation = Batch(tick=4)
    reservation.reserve("chunk-2", (0, 24), "h-1", 5_000)
    await target.commit(reservation)
    await source.commit(leaving)
    assert await redis.hget(keys.agent("a"), "chunk") == b"chunk-2"
    assert await redis.hgetall(keys.inbox("chunk-2")) == {b"h-1": b"{}"}

    seating = Batch(tick=5)
    seating.seated("chunk-2", (0, 24), "h-1")
    await target.commit(seating)
    assert not await redis.exists(keys.inbox("chunk-2"), keys.reservations("chunk-2"))


async def test_a_reservation_that_has_run_out_or_is_anothers_does_not_count(redis: Any) -> None:
    source, target = await acquired(redis, 0), await acquired(redis, 1)
    reservation = Batch(tick=1)
    reservation.reserve("chunk-2", (0, 24), "h-1", 1)
    reservation.reserve("chunk-2", (0, 25), "h-2", 5_000)
    await target.commit(reservation)
    await asyncio.sleep(0.01)
    leaving = Batch(tick=2)
    leaving.departure("chunk-2", (0, 24), "h-1", b"{}")
    leaving.departure("chunk-2", (0, 25), "h-3", b"{}")
    with pytest.raises(CommitRefused) as refused:
        await source.commit(leaving)
    assert refused.value.lost == ["h-1", "h-3"]


async def test_a_seat_takes_back_only_its_own_reservation(redis: Any) -> None:
    journal = await acquired(redis)
    batch = Batch(tick=1)
    batch.reserve("chunk-2", (0, 24), "h-1", 5_000)
    batch.seated("chunk-2", (0, 24), "h-2")
    await journal.commit(batch)
    assert await redis.hexists(keys.reservations("chunk-2"), "0,24")
    again = Batch(tick=1)
    again.seated("chunk-2", (0, 24), "h-1")
    await journal.commit(again)
    assert not await redis.exists(keys.reservations("chunk-2"))


async def test_a_join_needs_the_seat_that_was_claimed(redis: Any) -> None:
    journal = await acquired(redis)
    await redis.hset(keys.agent("a"), "chunk", "chunk-2")
    joining = Batch(tick=1)
    joining.only_if_bound("a", "chunk-1")
    joining.agent_record("a", "chunk-1", here=True, busy="", record=b"{}")
    with pytest.raises(CommitRefused) as refused:
        await journal.commit(joining)
    assert refused.value.lost == ["a"]
    assert await redis.hgetall(keys.agent("a")) == {b"chunk": b"chunk-2"}
    await redis.hset(keys.agent("a"), "chunk", "chunk-1")
    await journal.commit(joining)
    assert await redis.hget(keys.agent("a"), "here") == b"1"


@pytest.mark.parametrize(("state", "stands"), [(None, True), ("CONSUMED", True), ("REFUSED", False)])
async def test_a_decision_needs_a_command_that_was_not_refused(redis: Any, state: str | None, stands: bool) -> None:
    journal = await acquired(redis)
    if state is not None:
        await redis.hset(keys.challenge("cmd-1"), "state", state)
    batch = Batch(tick=1)
    batch.only_if_not_refused("cmd-1", now_ms())
    batch.agent_events("a", [AgentEvent("command_ack", 1, "t", b"{}")])
    if stands:
        await journal.commit(batch)
    else:
        with pytest.raises(CommitRefused) as refused:
            await journal.commit(batch)
        assert refused.value.lost == ["cmd-1"]
    assert await redis.xlen(keys.agent_stream("a")) == int(stands)


@pytest.mark.parametrize(("late_ms", "stands"), [(REFUSAL_KNOWN_MS - 30_000, True), (REFUSAL_KNOWN_MS + 30_000, False)])
async def test_a_decision_is_not_committed_when_no_refusal_would_be_known_any_more(
    redis: Any, late_ms: int, stands: bool
) -> None:
    """By Redis' clock: a shard that was cut off for longer than a refused command is remembered."""
    journal = await acquired(redis)
    seconds, _ = await redis.time()
    batch = Batch(tick=1)
    batch.only_if_not_refused("cmd-1", seconds * 1000 - late_ms)
    batch.agent_events("a", [AgentEvent("command_ack", 1, "t", b"{}")])
    if stands:
        await journal.commit(batch)
    else:
        with pytest.raises(CommitRefused):
            await journal.commit(batch)
    assert await redis.xlen(keys.agent_stream("a")) == int(stands)


async def test_a_refused_commit_can_be_followed_by_another(redis: Any) -> None:
    journal = await acquired(redis)
    leaving = Batch(tick=1)
    leaving.departure("chunk-2", (0, 24), "h-1", b"{}")
    for _ in range(2):
        with pytest.raises(CommitRefused):
            await journal.commit(leaving)
    await journal.renew()
    await journal.commit(delta(Batch(), 2))
    assert await redis.xlen(keys.chunk_stream("chunk-1")) == 1


async def test_a_renewed_lease_fences_what_was_sent_before(redis: Any) -> None:
    journal = await acquired(redis)
    old_epoch = journal.epoch
    await journal.renew()
    assert journal.epoch == old_epoch + 1
    journal.epoch = old_epoch
    with pytest.raises(Fenced):
        await journal.commit(delta(Batch(), 1))
    assert not await redis.exists(keys.chunk_stream("chunk-1"))


async def test_a_lease_that_somebody_took_is_not_renewed(redis: Any) -> None:
    old, new = await acquired(redis), await acquired(redis)
    with pytest.raises(Fenced):
        await old.renew()
    await new.commit(delta(Batch(), 1))


async def test_a_journal_that_came_back_without_confirmed_commits_takes_no_more(redis: Any) -> None:
    journal = await acquired(redis)
    await journal.commit(delta(Batch(), 1))
    before = await redis.hgetall(keys.shard(0))
    await journal.commit(delta(Batch(), 2, prev="1-0"))
    await redis.hset(keys.shard(0), mapping=before)
    with pytest.raises(CommitRefused) as refused:
        await journal.commit(delta(Batch(), 3, prev="2-0"))
    assert refused.value.why == "behind"
    await journal.renew()
    await journal.commit(delta(Batch(), 4, prev="2-0"))


async def test_a_script_that_fails_halfway_is_not_sent_again(redis: Any) -> None:
    journal = await acquired(redis)
    await redis.set(keys.members("chunk-1"), "not a set")
    batch = Batch(tick=1)
    batch.agent_events("a", [AgentEvent("command_ack", 1, "t", b"{}")])
    batch.member("chunk-1", "a", joined=True)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await asyncio.wait_for(journal.commit(batch), 5)
    assert await redis.xlen(keys.agent_stream("a")) == 1


async def test_a_server_without_room_is_waited_for(redis: Any) -> None:
    journal = await acquired(redis)
    await redis.config_set("maxmemory", 1)
    committing = asyncio.create_task(journal.commit(delta(Batch(), 1)))
    await asyncio.sleep(0.2)
    assert journal.stalled_since is not None
    assert not committing.done()
    await redis.config_set("maxmemory", 0)
    await asyncio.wait_for(committing, 5)
    assert await redis.xlen(keys.chunk_stream("chunk-1")) == 1


async def test_members_and_population_agree_whatever_is_said_twice(redis: Any) -> None:
    journal = await acquired(redis)
    batch = Batch(tick=1)
    for joined in (True, True, False, False, True):
        batch.member("chunk-1", "a", joined=joined)
    batch.member("chunk-1", "b", joined=True)
    await journal.commit(batch)
    assert await redis.smembers(keys.members("chunk-1")) == {b"a", b"b"}
    assert await redis.hget(keys.POPULATION, "chunk-1") == b"2"


async def test_old_entries_go_and_the_newest_stays(redis: Any) -> None:
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
