"""Violations, mutes and what an agent is told, over two gateways on one Valkey."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from api import keys as api_keys
from api.accounts.auth import Session
from api.challenge.ingress import Ingress
from api.challenge.store import ChallengeRules
from api.limits import limit_metrics
from api.limits.banned_words import parse_list
from api.limits.strikes import Standing, StrikeBook, StrikeRules
from api.services import challenge_rules
from config.limit import Limit
from config.settings import Settings
from streaming.batch import RedisBatch
from streaming.connect import connect
from tests.api.support import (
    MOVE,
    FakeClock,
    FakeWorld,
    Handler,
    agent_messages,
    answer,
    answer_to,
    challenge_to,
    enlist,
    new_session,
    request,
)

BAD = "what a b\u0430dw0rd"
HOUR_MS = 3_600_000
#: No chat interval, and commands as many as one likes: here it is about moderation alone.
RULES = replace(ChallengeRules(), chat_interval_ms=0, agent_commands=Limit(1_000_000, 1))


@pytest.fixture
async def gateways(
    batch: RedisBatch, valkey_url: str, world: FakeWorld, clock: FakeClock
) -> AsyncIterator[list[Ingress]]:
    words, _ = parse_list("badword")
    other = connect(valkey_url)
    other_batch = RedisBatch(other)
    yield [Ingress(each, world, RULES, clock, find_banned=words.find) for each in (batch, other_batch)]
    await other_batch.close()
    await other.aclose()


@pytest.fixture
def book(batch: RedisBatch) -> StrikeBook:
    return StrikeBook(batch)


@pytest.fixture
async def session(redis: Redis) -> Session:
    return await enlist(redis, new_session())


async def said(redis: Redis, ingress: Ingress, session: Session, text: str, channel: str = "ws-1") -> dict[str, Any]:
    """Say ``text`` with all that belongs to it.  Returns the ack, empty when the shard is to give it."""
    cmd = {"type": "say", "text": text}
    handler = Handler(ingress, session, channel)
    before = len(await agent_messages(redis, session.agent_id or ""))
    assert await request(handler, cmd) is None
    assert await answer(handler, answer_to(session, handler.challenge, cmd)) is None
    await ingress.drain(2.0)
    messages = (await agent_messages(redis, session.agent_id or ""))[before:]
    assert [kind for kind, _ in messages] == (["command_challenge", "command_ack"] if messages else [])
    return messages[1][1] if messages else {}


def texts(world: FakeWorld) -> list[object]:
    return [cast(dict[str, Any], command.cmd).get("text") for command in world.submitted]


async def strike(redis: Redis, gateways: list[Ingress], session: Session, times: int) -> None:
    for number in range(times):
        ack = await said(redis, gateways[number % 2], session, BAD)
        assert (ack["reason"], ack["code"]) == ("invalid_cmd", "banned_words")


async def test_a_violation_is_refused_and_never_submitted(
    redis: Redis, gateways: list[Ingress], session: Session, world: FakeWorld
) -> None:
    refused = limit_metrics.MODERATION_REFUSED._value.get()
    ack = await said(redis, gateways[0], session, BAD)
    assert ack == {
        "server_cmd_id": ack["server_cmd_id"],
        "client_cmd_id": "c-1",
        "accepted": False,
        "reason": "invalid_cmd",
        "code": "banned_words",
        "strikes_left": 2,
    }
    assert limit_metrics.MODERATION_REFUSED._value.get() == refused + 1
    assert await said(redis, gateways[0], session, "good day") == {}
    assert texts(world) == ["good day"]


async def test_each_violation_says_how_many_more_mute(redis: Redis, gateways: list[Ingress], session: Session) -> None:
    acks = [await said(redis, gateways[number % 2], session, BAD) for number in range(3)]
    assert [ack["strikes_left"] for ack in acks] == [2, 1, 0]
    assert [ack.get("muted_ms") for ack in acks] == [None, None, 600_000]
    assert "strikes_left" not in await said(redis, gateways[0], session, BAD), "while muted nothing counts"


async def test_the_third_violation_mutes_for_ten_minutes_over_reconnects_sessions_and_gateways(
    redis: Redis, gateways: list[Ingress], session: Session, world: FakeWorld, book: StrikeBook
) -> None:
    mutes = limit_metrics.MODERATION_MUTES._value.get()
    await strike(redis, gateways, session, 2)
    assert await said(redis, gateways[0], session, "still here") == {}
    await strike(redis, gateways, session, 1)
    assert limit_metrics.MODERATION_MUTES._value.get() == mutes + 1
    again = await enlist(redis, replace(new_session(), key_id="key_2"))
    for gateway, who, channel in ((0, session, "ws-1"), (1, session, "ws-2"), (1, again, "ws-3")):
        ack = await said(redis, gateways[gateway], who, "good day", channel)
        assert (ack["accepted"], ack["reason"], ack["code"]) == (False, "rate_limited", "muted")
        assert 590_000 < ack["retry_after_ms"] <= 600_000
    assert texts(world) == ["still here"]
    assert (await book.standing("a-1")).muted_by == "strikes"
    # The mute is the agent's own, and of talking alone.
    assert await said(redis, gateways[0], await enlist(redis, new_session("a-2")), "hello") == {}
    handler = Handler(gateways[0], session, "ws-9")
    await request(handler, MOVE)
    await answer(handler, answer_to(session, handler.challenge))
    await gateways[0].drain(2.0)
    assert world.submitted[-1].cmd == MOVE


async def test_what_is_said_while_muted_counts_no_strike_and_makes_nothing_longer(
    redis: Redis, gateways: list[Ingress], session: Session, book: StrikeBook
) -> None:
    await strike(redis, gateways, session, 3)
    await redis.pexpire(api_keys.mute("a-1"), 60_000)
    for _ in range(5):
        assert (await said(redis, gateways[0], session, BAD))["code"] == "muted"
    standing = await book.standing("a-1")
    assert standing.strikes == 0
    assert 0 < standing.muted_ms <= 60_000


async def test_after_the_mute_counting_begins_anew(
    redis: Redis, gateways: list[Ingress], session: Session, book: StrikeBook
) -> None:
    await strike(redis, gateways, session, 3)
    await redis.delete(api_keys.mute("a-1"))  # as its expiry does
    await strike(redis, gateways, session, 2)
    assert await said(redis, gateways[0], session, "good day") == {}
    await strike(redis, gateways, session, 1)
    assert (await book.standing("a-1")).muted_by == "strikes"


async def test_each_violation_is_forgotten_by_itself(
    redis: Redis, gateways: list[Ingress], session: Session, book: StrikeBook
) -> None:
    await strike(redis, gateways, session, 2)
    before = await book.standing("a-1")
    assert (before.strikes, before.muted_by) == (2, None)
    assert HOUR_MS - 60_000 < before.forgets_in_ms <= HOUR_MS
    name = api_keys.strikes("a-1")
    now_ms = int((await redis.time())[0]) * 1000
    await redis.lset(name, -1, str(now_ms - 1))
    await strike(redis, gateways, session, 1)
    assert (await book.standing("a-1")).muted_by is None  # the first is forgotten: this was the second
    await strike(redis, gateways, session, 1)
    assert (await book.standing("a-1")).muted_by == "strikes"


async def test_strikes_end_by_themselves(redis: Redis, gateways: list[Ingress], session: Session) -> None:
    await strike(redis, gateways, session, 2)
    assert HOUR_MS - 60_000 < await redis.pttl(api_keys.strikes("a-1")) <= HOUR_MS


async def test_violations_that_race_mute_exactly_once(redis: Redis, gateways: list[Ingress], session: Session) -> None:
    """Thirty answered at once over two gateways: two strikes, one that mutes, and the rest meet the mute."""

    async def speak(number: int) -> str:
        challenge = challenge_to({"type": "say", "text": BAD}, f"cmd_{number}")
        store = gateways[number % 2].store
        return await store.speak(challenge, trace_id="t", chat="banned", unsaid=False, now_ms=1_800_000_000_000)

    outcomes = Counter(await asyncio.gather(*(speak(number) for number in range(30))))
    assert outcomes == {"struck": 2, "struck_out": 1, "muted": 27}


async def test_a_message_that_waits_when_the_mute_comes_is_answered_and_frees_the_agent(
    redis: Redis, gateways: list[Ingress], session: Session, world: FakeWorld, book: StrikeBook
) -> None:
    """Pitfall B12: muted while a say is pending."""
    cmd = {"type": "say", "text": "hello"}
    handler = Handler(gateways[0], session, "ws-1")
    await request(handler, cmd)
    await book.mute("a-1", 60_000)
    await answer(handler, answer_to(session, handler.challenge, cmd))
    ack = (await agent_messages(redis, "a-1"))[-1][1]
    assert (ack["reason"], ack["code"]) == ("rate_limited", "muted")
    assert await book.unmute("a-1")
    assert await said(redis, gateways[0], session, "hello") == {}
    assert texts(world) == ["hello"]


async def test_a_violation_takes_no_turn_to_speak(redis: Redis, gateways: list[Ingress], session: Session) -> None:
    for gateway in gateways:
        gateway.store.rules = replace(RULES, chat_interval_ms=600_000)
    assert (await said(redis, gateways[0], session, BAD))["code"] == "banned_words"
    assert await said(redis, gateways[0], session, "good day") == {}
    assert (await said(redis, gateways[0], session, BAD))["code"] == "banned_words"
    assert (await said(redis, gateways[1], session, "good day"))["reason"] == "rate_limited"


async def test_an_operator_mutes_unmutes_and_looks(book: StrikeBook, redis: Redis) -> None:
    assert await book.standing("a-1") == Standing(0, 0, None, 0)
    assert not await book.unmute("a-1")
    await book.mute("a-1", 120_000)
    standing = await book.standing("a-1")
    assert (standing.strikes, standing.muted_by) == (0, "operator")
    assert 110_000 < standing.muted_ms <= 120_000
    await book.mute("a-1", 60_000)  # the last word counts, shorter too
    assert (await book.standing("a-1")).muted_ms <= 60_000
    assert await book.unmute("a-1")
    assert await book.standing("a-1") == Standing(0, 0, None, 0)


async def test_unmuting_forgives_strikes_too(
    redis: Redis, gateways: list[Ingress], session: Session, book: StrikeBook
) -> None:
    await strike(redis, gateways, session, 2)
    assert await book.unmute("a-1")
    await strike(redis, gateways, session, 2)
    assert (await book.standing("a-1")).muted_by is None


def test_the_settings_are_the_contracts_and_reach_the_rules() -> None:
    assert challenge_rules(Settings()).strikes == StrikeRules(3, HOUR_MS, 600_000)
    other = Settings(strikes_max=5, strike_memory_s=60, mute_s=30)
    assert challenge_rules(other).strikes == StrikeRules(5, 60_000, 30_000)


# -- the text is nowhere --


async def test_a_refused_text_is_in_no_log_no_stream_and_no_key(
    redis: Redis, gateways: list[Ingress], session: Session, debug_log: io.StringIO
) -> None:
    marked = "xyzzy badword plugh"
    for _ in range(3):
        await said(redis, gateways[0], session, marked)
    await said(redis, gateways[0], session, "xyzzy while muted")
    assert "message_banned" in debug_log.getvalue()
    assert "agent_muted" in debug_log.getvalue()
    for word in ("xyzzy", "badword", "plugh"):
        assert word not in debug_log.getvalue()
    kept = []
    for name in cast(Any, await redis.keys()):
        kind = await redis.type(name)
        dump = {b"hash": redis.hgetall, b"stream": redis.xrange, b"string": redis.get}.get(cast(bytes, kind))
        kept.append(f"{name} {await cast(Any, dump)(name) if dump else ''}")
    assert "banned_words" in str(kept)
    assert "xyzzy" not in str(kept)
