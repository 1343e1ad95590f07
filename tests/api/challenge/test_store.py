"""What the scripts keep and return; the protocol over them is under test in ``test_command_handler.py``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from api import keys as api_keys
from api.accounts.auth import Session
from api.challenge.challenge import Challenge
from api.challenge.store import ChallengeRules, ChallengeStore, Lease, RefusalNotice, Refused
from streaming import keys
from streaming.batch import RedisBatch
from tests.api.support import agent_messages, challenge_to, enlist, new_session

NOW_MS = 1_800_000_000_250


@pytest.fixture
def store(batch: RedisBatch) -> ChallengeStore:
    return ChallengeStore(batch, ChallengeRules())


@pytest.fixture
async def session(redis: Redis) -> Session:
    return await enlist(redis, new_session())


def challenge(server_cmd_id: str = "cmd_1") -> Challenge:
    return replace(challenge_to(server_cmd_id=server_cmd_id, now_ms=NOW_MS - 40), trace_id="t-request")


def bad_answer(server_cmd_id: str = "cmd_1", *, paid: bool = True) -> RefusalNotice:
    return RefusalNotice("c-1", "t-answer", "auth_failed", "bad_proof", server_cmd_id, paid=paid)


async def lease(store: ChallengeStore, session: Session, most: int = 8, **counts: int) -> Lease:
    return await store.lease(session, most, counts, ())


async def test_a_lease_takes_what_there_is_and_then_says_when_there_will_be_more(
    store: ChallengeStore, session: Session
) -> None:
    assert await lease(store, session) == Lease(True, 8, 0, 0, False, [])
    assert (await lease(store, session)).tokens == 2
    none = await lease(store, session)
    assert (none.tokens, 0 < none.wait_ms <= 100) == (0, True)


async def test_a_lease_knows_cooldown_slot_and_record(store: ChallengeStore, session: Session, redis: Redis) -> None:
    await redis.set(api_keys.cooldown("a-1"), 1, px=20_000)
    assert 19_000 < (await lease(store, session)).cooldown_ms <= 20_000
    for key, name, value in (("busy", "move_to", True), ("busy", "harvest", False), ("busy", "", False)):
        await redis.hset(keys.agent("a-1"), key, name)
        assert (await lease(store, session)).may_be_busy is value
    await redis.set(keys.inflight("a-1"), "cmd_1")
    assert (await lease(store, session)).may_be_busy


async def test_what_the_last_connection_left_keeps_nobody_busy_once_it_is_decided(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    """The shard does not look at the slot: whoever asks takes it out, so that it is free for good."""
    refusal = RefusalNotice("c-2", "t", "busy", paid=True)
    for leased in (False, True):
        await redis.set(keys.inflight("a-1"), "cmd_1", px=5_000)
        await redis.hset(keys.agent("a-1"), "rec", '{"recent":["cmd_0"]}')
        assert (await lease(store, session, 1)).may_be_busy
        await redis.hset(keys.agent("a-1"), "rec", '{"recent":["cmd_0","cmd_1"]}')
        if leased:
            assert not (await lease(store, session, 1)).may_be_busy
        else:
            assert await store.refuse_if_busy("a-1", refusal, "", NOW_MS) == Refused("free")
        assert not await redis.exists(keys.inflight("a-1"))


async def test_a_dead_session_leases_nothing(store: ChallengeStore, session: Session, redis: Redis) -> None:
    await redis.delete(keys.session_by_jti(session.jti))
    assert not (await lease(store, session, a1=1)).alive
    assert await redis.keys() == []


async def test_a_lease_hands_over_counts_and_gets_all(store: ChallengeStore, session: Session, redis: Redis) -> None:
    await lease(store, session, a1=2, v1=2)
    await store.leave("a-1", 0, {"a1": 1}, "", 1_000)
    assert (await store.lease(session, 1, {}, ["v1"])).counts == [b"a1", b"3"]
    assert await redis.ttl(api_keys.difficulty("a-1")) > 500


async def test_counts_add_up_and_some_are_forgotten_at_once(
    store: ChallengeStore, session: Session, redis: Any
) -> None:
    await redis.hset(api_keys.difficulty("a-1"), "level", 3)
    await lease(store, session, 1, a1=2, v1=2, s9=1)
    assert await redis.hgetall(api_keys.difficulty("a-1")) == {b"level": b"3", b"a1": b"2", b"v1": b"2", b"s9": b"1"}
    found = (await store.lease(session, 1, {"a1": 40, "a2": 1, "v2": 5}, ["v1", "s9", "a0", "v2"])).counts
    assert dict(zip(found[::2], found[1::2], strict=True)) == {b"level": b"3", b"a1": b"42", b"a2": b"1"}
    assert await redis.hgetall(api_keys.difficulty("a-1")) == {b"level": b"3", b"a1": b"42", b"a2": b"1"}


async def test_a_lease_costs_the_server_as_much_for_many_counts_as_for_one(
    store: ChallengeStore, session: Session, redis: Any
) -> None:
    calls = []
    for counts in ({"a1": 1}, {"a1": 1}, {f"a{n}": 1 for n in range(9)}):
        await redis.config_resetstat()
        await store.lease(session, 1, counts, ())
        stats = await redis.info("commandstats")
        calls.append({name: one["calls"] for name, one in stats.items() if "eval" not in name})
    assert calls[1] == calls[2]


async def test_leaving_gives_tokens_back_and_notes_what_is_undecided(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    assert (await lease(store, session, 10)).tokens == 10
    await store.leave("a-1", 9, {}, "cmd_1", 5_000)
    assert await redis.pttl(api_keys.limit_bucket("command_agent", "a-1")) <= 100
    assert await redis.get(keys.inflight("a-1")) == b"cmd_1"
    assert 4_000 < await redis.pttl(keys.inflight("a-1")) <= 5_000


async def test_leaving_with_a_command_that_is_decided_by_now_keeps_nobody_busy(
    store: ChallengeStore, redis: Redis
) -> None:
    """The shard's commit would have freed the slot, and it has run already."""
    await redis.hset(keys.agent("a-1"), "rec", '{"recent":["cmd_1"]}')
    await store.leave("a-1", 0, {}, "cmd_1", 5_000)
    assert not await redis.exists(keys.inflight("a-1"))


async def test_refusals_number_the_agents_stream_without_gaps(store: ChallengeStore, redis: Redis) -> None:
    await store.refuse("a-1", bad_answer(), challenge(), NOW_MS)
    await store.refuse("a-1", RefusalNotice("c-2", "t", "invalid_cmd", "too_deep"), None, NOW_MS)
    entries: Any = await redis.xrange(keys.agent_stream("a-1"))
    assert [entry_id for entry_id, _ in entries] == [b"1-0", b"2-0", b"3-0"]
    heads = [fields[b"m"].split(b"\n")[0].split(b" ") for _, fields in entries]
    assert heads == [
        [b"0-0", b"command_challenge", str(NOW_MS - 40).encode(), b"t-request"],
        [b"1-0", b"command_ack", str(NOW_MS).encode(), b"t-answer"],
        [b"2-0", b"command_ack", str(NOW_MS).encode(), b"t"],
    ]
    assert (await agent_messages(redis, "a-1"))[2][1]["code"] == "too_deep"


async def test_what_is_appended_is_published_with_its_id(store: ChallengeStore, redis: Redis) -> None:
    pubsub = redis.pubsub()
    await pubsub.subscribe(keys.agent_stream("a-1"))
    await pubsub.get_message(timeout=5)
    await store.note(challenge())
    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
    entries: Any = await redis.xrange(keys.agent_stream("a-1"))
    ((entry_id, fields),) = entries
    assert message is not None
    assert message["data"] == entry_id + b" " + fields[b"m"]
    await pubsub.aclose()  # type: ignore[no-untyped-call]


async def test_a_refusal_that_was_not_paid_takes_a_token_of_either_bucket(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    await lease(store, session, 10)
    outcomes = [(await store.refuse("a-1", bad_answer(paid=False), None, NOW_MS)).outcome for _ in range(12)]
    assert outcomes[:10] == ["refused"] * 10
    assert "flood" in outcomes[10:]
    assert (await store.refuse("a-1", bad_answer(), None, NOW_MS)).outcome == "refused"


async def test_failures_are_counted_and_in_the_cooldown_all_answers_are_limited(
    store: ChallengeStore, redis: Redis
) -> None:
    refused = [await store.refuse("a-1", bad_answer(), None, NOW_MS) for _ in range(7)]
    assert refused[:6] == [Refused("refused")] * 5 + [Refused("refused", 1)]
    assert 29_000 < refused[6].cooldown_ms <= 30_000
    ack = (await agent_messages(redis, "a-1"))[-1][1]
    assert (ack["reason"], ack["retry_after_ms"], "code" in ack) == ("rate_limited", refused[6].cooldown_ms, False)


async def test_busy_is_said_only_if_it_is_true(store: ChallengeStore, redis: Redis) -> None:
    refusal = RefusalNotice("c-2", "t", "busy", paid=True)
    assert await store.refuse_if_busy("a-1", refusal, "", NOW_MS) == Refused("free")
    await redis.hset(keys.agent("a-1"), "rec", '{"recent":["cmd_1"]}')
    assert await store.refuse_if_busy("a-1", refusal, "cmd_1", NOW_MS) == Refused("free")
    assert await agent_messages(redis, "a-1") == []
    assert await store.refuse_if_busy("a-1", refusal, "cmd_2", NOW_MS) == Refused("refused")
    await redis.set(keys.inflight("a-1"), "cmd_3", px=200)
    assert await store.refuse_if_busy("a-1", refusal, "cmd_1", NOW_MS) == Refused("refused")
    first, second = [ack["retry_after_ms"] for _, ack in await agent_messages(redis, "a-1")]
    assert (first, 0 < second <= 200) == (500, True)


async def test_asking_again_whether_it_may_be_said_gives_the_same_outcome(store: ChallengeStore, redis: Redis) -> None:
    async def speak(name: str) -> str:
        return await store.speak(challenge(name), trace_id="t", chat="clean", unsaid=True, now_ms=NOW_MS)

    assert [await speak(name) for name in ("cmd_1", "cmd_1", "cmd_2", "cmd_2", "cmd_1")] == [
        *("said", "said", "chat", "chat", "said")
    ]
    assert [kind for kind, _ in await agent_messages(redis, "a-1")] == ["command_challenge", "command_ack"]
    assert 0 < await redis.ttl(keys.challenge("cmd_1")) <= 30


async def test_giving_up_happens_once_however_many_try(store: ChallengeStore, redis: Redis) -> None:
    outcomes = await asyncio.gather(*(store.give_up(challenge(), NOW_MS, 1_000, unsaid=True) for _ in range(5)))
    assert sorted(outcomes) == [False] * 4 + [True]
    assert [kind for kind, _ in await agent_messages(redis, "a-1")] == ["command_challenge", "command_ack"]
    assert await redis.hget(keys.challenge("cmd_1"), "state") == b"REFUSED"
    assert await redis.ttl(keys.challenge("cmd_1")) > 500


async def test_a_level_is_moved_once(store: ChallengeStore, redis: Redis) -> None:
    assert await store.set_level("a-1", 1, 0, NOW_MS) == (1, NOW_MS)
    assert await store.set_level("a-1", 3, 0, NOW_MS + 1) == (1, NOW_MS)  # somebody was faster
    assert await redis.hget(api_keys.difficulty("a-1"), "level") == b"1"
    assert await redis.ttl(api_keys.difficulty("a-1")) > 500
