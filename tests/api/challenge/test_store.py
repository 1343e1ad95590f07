"""What the scripts keep and return; the protocol over them is under test in ``test_commands.py``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from api import keys as api_keys
from api.accounts.auth import Session
from api.challenge.challenge import Caller, Verdict, check_bindings, hash_of
from api.challenge.store import ChallengeRules, ChallengeStore, Draft, Issued
from streaming import keys
from streaming.batch import RedisBatch
from tests.api.support import MOVE, agent_messages, canonical, enlist, new_session

NOW_MS = 1_800_000_000_250


@pytest.fixture
def store(batch: RedisBatch) -> ChallengeStore:
    return ChallengeStore(batch, ChallengeRules())


@pytest.fixture
async def session(redis: Redis) -> Session:
    return await enlist(redis, new_session())


def draft(server_cmd_id: str = "cmd_1") -> Draft:
    return Draft(server_cmd_id, canonical(MOVE), hash_of(canonical(MOVE)), "nonce")


async def issue(store: ChallengeStore, session: Session, server_cmd_id: str = "cmd_1", **other: Any) -> Issued:
    return await store.issue(session, "ws-1", "c-1", "t-1", draft(server_cmd_id), NOW_MS)


async def test_what_is_issued_can_be_looked_up(store: ChallengeStore, session: Session) -> None:
    assert await issue(store, session) == Issued("issued", 2, "", 0)
    challenge, cooldown_ms = await store.look_up("a-1", "cmd_1")
    assert cooldown_ms == 0
    assert challenge is not None
    assert (challenge.state, challenge.issued_ms, challenge.expires_at) == ("ISSUED", NOW_MS, NOW_MS // 1000 + 5)
    assert (challenge.cmd, challenge.cmd_hash, challenge.nonce) == (MOVE, hash_of(canonical(MOVE)), "nonce")
    assert (challenge.agent_id, challenge.session_jti, challenge.channel_id) == ("a-1", session.jti, "ws-1")
    assert await store.look_up("a-1", "cmd_2") == (None, 0)


async def test_the_record_outlives_the_challenge_and_both_end(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    """The slot is free when the second of ``expires_at`` is over; the record stays for 10 s."""
    await issue(store, session)
    assert 5_000 < await redis.pttl(keys.inflight("a-1")) <= 5_750
    assert 9_000 < await redis.pttl(keys.challenge("cmd_1")) <= 10_000


async def test_the_difficulty_is_the_agents_own(store: ChallengeStore, session: Session, redis: Redis) -> None:
    await redis.hset(api_keys.difficulty("a-1"), "level", 3)
    assert (await issue(store, session)).difficulty == 3
    other = await enlist(redis, new_session("a-2"))
    assert (await store.issue(other, "ws-2", "c-1", "t-1", draft("cmd_2"), NOW_MS)).difficulty == 2


async def test_consuming_is_idempotent_for_its_token_and_lost_for_any_other(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    await issue(store, session)
    challenge, _ = await store.look_up("a-1", "cmd_1")
    assert challenge is not None
    outcomes = [
        (await store.consume(challenge, token=token, trace_id="t", chat=None, now_ms=NOW_MS)).outcome
        for token in ("one", "one", "two", "one")
    ]
    assert outcomes == ["consumed", "consumed", "lost", "consumed"]
    assert await redis.hget(keys.challenge("cmd_1"), "deadline") == str(NOW_MS + 6_000).encode()


async def test_a_slot_that_went_to_another_command_is_not_taken_back(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    await issue(store, session)
    challenge, _ = await store.look_up("a-1", "cmd_1")
    assert challenge is not None
    await redis.set(keys.inflight("a-1"), "cmd_2")
    consumed = await store.consume(challenge, token="x", trace_id="t", chat=None, now_ms=NOW_MS)
    assert consumed.outcome == "gone"
    assert await redis.get(keys.inflight("a-1")) == b"cmd_2"


async def test_refusals_number_the_agents_stream_without_gaps(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    await issue(store, session)
    await store.refuse_answer("a-1", "cmd_1", "t", Verdict.BAD_PROOF, NOW_MS)
    await store.refuse_request("a-1", "c-2", "t", "invalid_cmd", "too_deep", NOW_MS)
    entries: Any = await redis.xrange(keys.agent_stream("a-1"))
    assert [entry_id for entry_id, _ in entries] == [b"1-0", b"2-0", b"3-0"]
    assert [fields[b"m"].split(b" ")[0] for _, fields in entries] == [b"0-0", b"1-0", b"2-0"]
    kinds = [kind for kind, _ in await agent_messages(redis, "a-1")]
    assert kinds == ["command_challenge", "command_ack", "command_ack"]
    assert (await agent_messages(redis, "a-1"))[2][1]["code"] == "too_deep"


async def test_what_is_appended_is_published_with_its_id(store: ChallengeStore, session: Session, redis: Redis) -> None:
    pubsub = redis.pubsub()
    await pubsub.subscribe(keys.agent_stream("a-1"))
    await pubsub.get_message(timeout=5)
    await issue(store, session)
    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
    entries: Any = await redis.xrange(keys.agent_stream("a-1"))
    ((entry_id, fields),) = entries
    assert message is not None
    assert message["data"] == entry_id + b" " + fields[b"m"]
    await pubsub.aclose()  # type: ignore[no-untyped-call]


async def test_giving_up_happens_once_however_many_try(store: ChallengeStore, session: Session, redis: Redis) -> None:
    await issue(store, session)
    challenge, _ = await store.look_up("a-1", "cmd_1")
    assert challenge is not None
    outcomes = await asyncio.gather(*(store.give_up(challenge, NOW_MS, 1_000) for _ in range(5)))
    assert sorted(refused.outcome for refused in outcomes) == ["decided"] * 4 + ["refused"]
    assert [kind for kind, _ in await agent_messages(redis, "a-1")] == ["command_challenge", "command_ack"]
    refused, _ = await store.look_up("a-1", "cmd_1")
    assert refused is not None
    assert refused.state == "REFUSED"
    assert check_bindings(refused, Caller("a-1", session.jti, "ws-1"), NOW_MS) is Verdict.CONSUMED


async def test_the_mark_of_a_challenge_that_was_forgotten_before_it_was_given_up_is_no_challenge(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    """A gateway that stood still for longer than consumed challenges are kept marks what is not there any more."""
    await issue(store, session)
    challenge, _ = await store.look_up("a-1", "cmd_1")
    assert challenge is not None
    await redis.delete(keys.challenge("cmd_1"))
    assert (await store.give_up(challenge, NOW_MS, 1_000)).outcome == "refused"
    assert await redis.hgetall(keys.challenge("cmd_1")) == {b"state": b"REFUSED"}
    assert await store.look_up("a-1", "cmd_1") == (None, 0)


async def test_the_difficulty_moves_by_what_consuming_counted(
    store: ChallengeStore, session: Session, redis: Redis
) -> None:
    await issue(store, session)
    challenge, _ = await store.look_up("a-1", "cmd_1")
    assert challenge is not None
    later = NOW_MS + 501
    consumed = await store.consume(challenge, token="x", trace_id="t", chat=None, now_ms=later)
    assert await store.adjust_difficulty("a-1", consumed.counts, later) == 1
    assert await store.adjust_difficulty("a-1", consumed.counts, later) is None  # somebody was faster
    assert await redis.hget(api_keys.difficulty("a-1"), "level") == b"1"
