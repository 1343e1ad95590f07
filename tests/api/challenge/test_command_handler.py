from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from api import keys as api_keys
from api.accounts.auth import Session
from api.challenge.challenge import hash_of
from api.challenge.command_handler import FRAME_BURST, AgentCommandHandler, CommandReply
from api.challenge.ingress import Ingress
from api.challenge.store import ChallengeRules
from api.ids import TraceId
from api.ports import ShardAnswer, SubmittedCommand
from api.sockets.frames import Ping
from config.limit import Limit
from streaming import keys
from streaming.batch import RedisBatch
from streaming.connect import connect
from streaming.lua import Call, Script
from tests.api.support import (
    MOVE,
    FakeClock,
    FakeWorld,
    agent_messages,
    answer,
    answer_to,
    canonical,
    enlist,
    frame,
    last_message,
    new_session,
    request,
    unsolved,
)

SAY = {"type": "say", "text": "hello"}


@pytest.fixture
async def session(redis: Redis) -> Session:
    return await enlist(redis, new_session())


@pytest.fixture
def handler(ingress: Ingress, session: Session) -> AgentCommandHandler:
    return AgentCommandHandler(ingress, session, "ws-1")


@pytest.fixture
async def other_gateway(valkey_url: str, world: FakeWorld, clock: FakeClock) -> AsyncIterator[Ingress]:
    """A second gateway on connections of its own."""
    redis = connect(valkey_url)
    batch = RedisBatch(redis)
    ingress = Ingress(batch, world, ChallengeRules(), clock)
    yield ingress
    await ingress.drain(1.0)
    await batch.close()
    await redis.aclose()


async def challenged(redis: Redis, handler: AgentCommandHandler, cmd: object = MOVE) -> dict[str, Any]:
    """Request ``cmd`` and give back the challenge."""
    assert await request(handler, cmd) is None
    kind, payload = await last_message(redis, "a-1")
    assert kind == "command_challenge", payload
    return payload


async def played(
    redis: Redis, ingress: Ingress, handler: AgentCommandHandler, session: Session, cmd: object = MOVE
) -> None:
    """A whole command, up to the world's decision."""
    challenge = await challenged(redis, handler, cmd)
    assert await answer(handler, answer_to(session, challenge, cmd)) is None
    await ingress.drain(2.0)


async def assert_free(redis: Redis, ingress: Ingress, session: Session, world: FakeWorld) -> None:
    """The agent can have its next command done (pitfall B12)."""
    before = len(world.submitted)
    await played(redis, ingress, AgentCommandHandler(ingress, session, "ws-after"), session)
    assert len(world.submitted) == before + 1


async def acks(redis: Redis) -> list[dict[str, Any]]:
    return [payload for kind, payload in await agent_messages(redis, "a-1") if kind == "command_ack"]


# a right answer


async def test_a_right_answer_is_submitted_once_as_it_was_hashed(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    challenge = await challenged(redis, handler)
    assert challenge == {
        "client_cmd_id": "c-1",
        "server_cmd_id": challenge["server_cmd_id"],
        "nonce": challenge["nonce"],
        "expires_at": clock.now_ms // 1000 + 5,
        "difficulty": 2,
        "channel_id": "ws-1",
        "sig_alg": "HMAC-SHA256",
        "pow_alg": "sha256-leading-hex-zeroes",
    }
    assert await answer(handler, answer_to(session, challenge)) is None
    await ingress.drain(2.0)
    (submitted,) = world.submitted
    assert (submitted.agent_id, submitted.client_cmd_id, submitted.trace_id) == ("a-1", "c-1", "t-1")
    assert submitted.server_cmd_id == challenge["server_cmd_id"]
    assert submitted.cmd == MOVE
    assert await acks(redis) == []  # the ack is the shard's to give


async def test_the_text_is_hashed_before_anything_is_normalised(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    """What is executed is what was signed: the decomposed accent arrives decomposed (pitfall B16)."""
    cmd = {"type": "say", "text": "he\u0301llo \U0001f600"}
    await played(redis, ingress, handler, session, cmd)
    assert world.submitted[0].cmd == cmd


async def test_the_same_trace_id_is_in_every_message(redis: Redis, handler: AgentCommandHandler) -> None:
    await challenged(redis, handler)
    entries: Any = await redis.xrange(keys.agent_stream("a-1"))
    ((_, fields),) = entries
    head = fields[b"m"].split(b"\n")[0].split(b" ")
    assert head[0] == b"0-0"
    assert head[1] == b"command_challenge"
    assert head[3] == b"t-1"


async def test_what_is_stored_holds_no_secret(redis: Redis, handler: AgentCommandHandler, session: Session) -> None:
    challenge = await challenged(redis, handler)
    stored: Any = await redis.hgetall(keys.challenge(challenge["server_cmd_id"]))
    assert session.cmd_secret.encode() not in b" ".join(stored.values())
    assert stored[b"cmd"] == canonical(MOVE).encode()
    assert stored[b"hash"] == hash_of(canonical(MOVE)).encode()


async def test_every_key_of_a_handshake_expires(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress
) -> None:
    """All but the agent's own hash, which is the world's."""
    await answer(handler, {**answer_to(session, await challenged(redis, handler)), "sig": "A" * 43})
    for key in await redis.keys():
        if key != b"agent:a-1":
            assert await redis.pttl(key) != -1, key


# answers that come more than once (pitfall B18)


async def test_the_same_answer_twice_wins_once(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    assert await answer(handler, payload) is None
    reply = await answer(handler, payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    await ingress.drain(2.0)
    assert len(world.submitted) == 1
    assert await acks(redis) == []


async def test_fifty_equal_answers_over_two_gateways_have_one_winner(
    redis: Redis,
    handler: AgentCommandHandler,
    session: Session,
    ingress: Ingress,
    other_gateway: Ingress,
    world: FakeWorld,
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    handlers = [
        AgentCommandHandler(gateway, session, "ws-1") for gateway in (ingress, other_gateway) for _ in range(25)
    ]
    replies = await asyncio.gather(*(answer(each, payload) for each in handlers))
    await ingress.drain(2.0)
    await other_gateway.drain(2.0)
    assert len(world.submitted) == 1
    assert replies.count(None) == 1
    assert {reply.reason for reply in replies if reply is not None} == {"already_consumed"}


async def test_an_answer_sent_again_after_its_challenge_was_forgotten_gives_no_second_ack(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    """The agent's record still knows the id, so the refusal goes to the socket and not into the stream."""
    payload = answer_to(session, await challenged(redis, handler))
    await answer(handler, payload)
    await ingress.drain(2.0)
    await redis.delete(keys.challenge(payload["server_cmd_id"]))
    await redis.hset(keys.agent("a-1"), "rec", json.dumps({"recent": [payload["server_cmd_id"]]}))
    reply = await answer(handler, payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert await acks(redis) == []
    assert len(world.submitted) == 1


async def test_a_wrong_answer_leaves_the_challenge_open_for_a_right_one(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    await answer(handler, payload | {"sig": "A" * 43})
    assert (await last_message(redis, "a-1"))[1] == {
        "server_cmd_id": payload["server_cmd_id"],
        "client_cmd_id": "c-1",
        "accepted": False,
        "reason": "auth_failed",
        "code": "bad_signature",
    }
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


async def test_an_evicted_challenge_is_unknown_and_the_slot_is_free(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    await redis.delete(keys.challenge(payload["server_cmd_id"]))
    await answer(handler, payload)
    ack = (await acks(redis))[-1]
    assert (ack["reason"], ack["code"]) == ("expired_challenge", "unknown_challenge")
    await assert_free(redis, ingress, session, world)


# wrong answers, each with its code


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda right: {"sig": "A" * 43}, "bad_signature"),
        (lambda right: {"sig": right["sig"][:-1]}, "bad_signature"),
        (lambda right: {"sig": right["sig"] + "="}, "bad_signature"),
        (lambda right: {"sig": "not base64 at all !"}, "bad_signature"),
        (lambda right: {"proof": None}, "bad_proof"),
        (lambda right: {"proof": ""}, "bad_proof"),
        (lambda right: {"proof": {"pow_hash": "00" * 32}}, "bad_proof"),
    ],
)
async def test_a_spoiled_answer_is_refused_with_its_code(
    redis: Redis,
    handler: AgentCommandHandler,
    session: Session,
    ingress: Ingress,
    world: FakeWorld,
    spoil: Any,
    code: str,
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    assert await answer(handler, payload | spoil(payload)) is None
    ack = (await acks(redis))[-1]
    assert (ack["accepted"], ack["reason"], ack["code"]) == (False, "auth_failed", code)
    await ingress.drain(1.0)
    assert world.submitted == []


async def test_a_proof_that_misses_is_refused(redis: Redis, handler: AgentCommandHandler, session: Session) -> None:
    challenge = await challenged(redis, handler)
    wrong = unsolved(challenge["nonce"], hash_of(canonical(MOVE)), challenge["difficulty"])
    await answer(handler, answer_to(session, challenge) | {"proof": wrong})
    assert (await acks(redis))[-1]["code"] == "bad_proof"


async def test_a_changed_command_does_not_verify_and_can_not_be_smuggled_in(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    """The command lies in the challenge: signing another one fails, sending one along is ignored."""
    challenge = await challenged(redis, handler)
    await answer(handler, answer_to(session, challenge, MOVE | {"x": 9}))
    assert (await acks(redis))[-1]["code"] == "bad_signature"
    await answer(handler, answer_to(session, challenge) | {"cmd": MOVE | {"x": 9}})
    await ingress.drain(2.0)
    assert [command.cmd for command in world.submitted] == [MOVE]


@pytest.mark.parametrize("echo", [{"difficulty": 0}, {"expires_at": 2_000_000_000}, {"agent_id": "a-2"}])
async def test_only_stored_values_count(
    redis: Redis, handler: AgentCommandHandler, session: Session, echo: dict[str, Any]
) -> None:
    challenge = await challenged(redis, handler)
    await answer(handler, answer_to(session, challenge, **echo) | echo)
    assert (await acks(redis))[-1]["reason"] == "auth_failed"


async def test_another_channel_of_the_same_agent_can_not_answer(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    await answer(AgentCommandHandler(ingress, session, "ws-2"), payload)
    assert (await acks(redis))[-1]["code"] == "channel_mismatch"


async def test_another_session_of_the_same_agent_can_not_answer(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress
) -> None:
    other = await enlist(redis, replace(new_session(), cmd_secret=session.cmd_secret))
    payload = answer_to(session, await challenged(redis, handler))
    await answer(AgentCommandHandler(ingress, other, "ws-1"), payload)
    assert (await acks(redis))[-1]["code"] == "session_mismatch"


async def test_another_agent_can_not_answer_and_is_told_in_its_own_stream(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    thief = await enlist(redis, replace(session, agent_id="a-2"))
    payload = answer_to(session, await challenged(redis, handler))
    await answer(AgentCommandHandler(ingress, thief, "ws-1"), payload)
    kind, ack = await last_message(redis, "a-2")
    assert (kind, ack["code"], ack["client_cmd_id"]) == ("command_ack", "agent_mismatch", None)
    assert await acks(redis) == []
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


# expiry


@pytest.mark.parametrize(("late_ms", "wins"), [(-1, True), (0, True), (999, True), (1000, False), (1001, False)])
async def test_the_server_clock_alone_decides_at_the_boundary_second(
    redis: Redis,
    handler: AgentCommandHandler,
    session: Session,
    ingress: Ingress,
    world: FakeWorld,
    clock: FakeClock,
    late_ms: int,
    wins: bool,
) -> None:
    challenge = await challenged(redis, handler)
    clock.now_ms = challenge["expires_at"] * 1000 + late_ms
    await answer(handler, answer_to(session, challenge))
    await ingress.drain(2.0)
    assert len(world.submitted) == int(wins)
    if not wins:
        ack = (await acks(redis))[-1]
        assert (ack["reason"], ack["code"], ack["client_cmd_id"]) == ("expired_challenge", "expired", "c-1")


async def test_an_expired_challenge_frees_the_slot_without_a_word_from_the_client(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    """The slot's own expiry ends no later than a second after the challenge's last one."""
    await challenged(redis, handler)
    assert 0 < await redis.pttl(keys.inflight("a-1")) <= 6_000
    await redis.pexpire(keys.inflight("a-1"), 1)
    while await redis.exists(keys.inflight("a-1")):
        await asyncio.sleep(0.002)
    await assert_free(redis, ingress, session, world)


async def test_expired_answers_are_no_offence(
    redis: Redis, handler: AgentCommandHandler, session: Session, clock: FakeClock
) -> None:
    challenge = await challenged(redis, handler)
    clock.advance(20_000)
    for _ in range(8):
        await answer(handler, answer_to(session, challenge))
    assert not await redis.exists(api_keys.cooldown("a-1"))
    assert {ack["reason"] for ack in await acks(redis)} == {"expired_challenge"}


# one at a time


async def test_a_second_request_is_busy_and_disturbs_nothing(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    challenge = await challenged(redis, handler)
    await request(AgentCommandHandler(ingress, session, "ws-2"), client_cmd_id="c-2")
    kind, ack = await last_message(redis, "a-1")
    assert kind == "command_ack"
    assert (ack["client_cmd_id"], ack["reason"]) == ("c-2", "busy")
    assert 0 < ack["retry_after_ms"] <= 500
    assert await answer(handler, answer_to(session, challenge)) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


async def test_twenty_requests_at_once_over_two_gateways_get_one_challenge(
    redis: Redis, session: Session, ingress: Ingress, other_gateway: Ingress
) -> None:
    handlers = [
        AgentCommandHandler(gateway, session, f"ws-{n}") for n in range(5) for gateway in (ingress, other_gateway)
    ]
    await asyncio.gather(*(request(handler, client_cmd_id=f"c-{n}") for n, handler in enumerate(handlers)))
    kinds = [kind for kind, _ in await agent_messages(redis, "a-1")]
    assert kinds.count("command_challenge") == 1
    assert kinds.count("command_ack") == 9
    assert {ack["reason"] for ack in await acks(redis)} == {"busy"}


@pytest.mark.parametrize(("busy", "expected"), [("move_to", "busy"), ("say", "busy"), ("harvest", None), ("", None)])
async def test_only_harvesting_can_be_interrupted(
    redis: Redis, handler: AgentCommandHandler, busy: str, expected: str | None
) -> None:
    await redis.hset(keys.agent("a-1"), "busy", busy)
    await request(handler)
    kind, payload = await last_message(redis, "a-1")
    assert payload.get("reason") == expected
    assert kind == ("command_ack" if expected else "command_challenge")


async def test_a_submitted_command_keeps_the_agent_busy_until_it_is_decided(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    decide = asyncio.Event()

    async def later(command: SubmittedCommand) -> ShardAnswer:
        await decide.wait()
        return ShardAnswer(True)

    world.answer = later
    await answer(handler, answer_to(session, await challenged(redis, handler)))
    await request(handler, client_cmd_id="c-2")
    assert (await acks(redis))[-1]["reason"] == "busy"
    assert await redis.pttl(keys.inflight("a-1")) > 10_000
    decide.set()
    await ingress.drain(2.0)
    await assert_free(redis, ingress, session, world)


# requests that are refused


@pytest.mark.parametrize(
    ("cmd", "reason"),
    [
        ({"type": "fly"}, "invalid_cmd"),
        ({"type": "move_to", "x": 1}, "invalid_cmd"),
        ({"type": "move_to", "x": 1, "y": 2, "z": 3}, "invalid_cmd"),
        ({"type": "move_to", "x": True, "y": 2}, "invalid_cmd"),
        ({"type": "move_to", "x": 1.0, "y": 2}, "invalid_cmd"),
        ({"type": "move_to", "x": 50, "y": 2}, "out_of_bounds"),
        ({"type": "move_to", "x": -1, "y": 2}, "out_of_bounds"),
        ({"type": "say", "text": ""}, "invalid_cmd"),
        ({"type": "say", "text": "a" * 201}, "invalid_cmd"),
        ("move_to", "invalid_cmd"),
        (None, "invalid_cmd"),
    ],
)
async def test_a_malformed_command_gets_no_challenge(
    redis: Redis,
    handler: AgentCommandHandler,
    session: Session,
    ingress: Ingress,
    world: FakeWorld,
    cmd: object,
    reason: str,
) -> None:
    assert await request(handler, cmd, "c-9") is None
    assert await agent_messages(redis, "a-1") == [
        ("command_ack", {"server_cmd_id": "", "client_cmd_id": "c-9", "accepted": False, "reason": reason})
    ]
    assert await redis.keys("chal:*") == []
    await assert_free(redis, ingress, session, world)


async def test_a_dead_session_can_not_ask(redis: Redis, handler: AgentCommandHandler, session: Session) -> None:
    await redis.delete(keys.session_by_jti(session.jti))
    assert await request(handler) == CommandReply("invalid_session", close=True)
    assert await agent_messages(redis, "a-1") == []


async def test_a_session_revoked_between_challenge_and_answer_is_refused_at_once(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    await redis.delete(keys.session_by_jti(session.jti))
    assert await answer(handler, payload) == CommandReply("invalid_session", close=True)
    await ingress.drain(1.0)
    assert world.submitted == []


def test_a_handler_needs_an_agent(ingress: Ingress) -> None:
    with pytest.raises(ValueError, match="agent"):
        AgentCommandHandler(ingress, replace(new_session(), agent_id=None), "ws-1")


async def test_a_ping_is_none_of_the_handlers_business(handler: AgentCommandHandler) -> None:
    assert await handler.handle(Ping(TraceId("t"))) is None


# chat


async def test_one_message_in_two_seconds(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    await played(redis, ingress, handler, session, SAY)
    await played(redis, ingress, handler, session, SAY)
    assert len(world.submitted) == 1
    ack = (await acks(redis))[-1]
    assert (ack["reason"], ack["client_cmd_id"]) == ("rate_limited", "c-1")
    assert 0 < ack["retry_after_ms"] <= 2_000
    await assert_free(redis, ingress, session, world)  # moving is not talking
    await redis.delete(api_keys.chat("a-1"))
    await played(redis, ingress, handler, session, SAY)
    assert [command.cmd for command in world.submitted] == [SAY, MOVE, SAY]


async def test_a_refused_message_is_answered_once(redis: Redis, handler: AgentCommandHandler, session: Session) -> None:
    await redis.set(api_keys.chat("a-1"), 1, px=2_000)
    payload = answer_to(session, await challenged(redis, handler, SAY), SAY)
    assert await answer(handler, payload) is None
    assert await answer(handler, payload) == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert len(await acks(redis)) == 1


# floods


async def test_requests_beyond_the_rate_are_refused_and_then_not_even_noted(
    redis: Redis, session: Session, ingress: Ingress
) -> None:
    """The limit is the agent's, over all its sockets; the stream takes at most twice the rate."""
    most = 10
    ingress.store.rules = replace(ingress.rules, agent_commands=Limit.parse(f"{most}+1/h"))
    handlers = [AgentCommandHandler(ingress, session, f"ws-{n}") for n in range(5)]
    replies = [await request(handlers[n % 5], client_cmd_id=f"c-{n}") for n in range(60)]
    reasons = [ack["reason"] for ack in await acks(redis)]
    assert len(await agent_messages(redis, "a-1")) == 2 * most
    assert reasons.count("busy") == most - 1
    assert reasons.count("rate_limited") == most
    assert all(reply is not None and reply.reason == "rate_limited" for reply in replies[2 * most :])
    assert 0 < await redis.pttl(api_keys.limit_bucket("command_agent", "a-1")) <= most * 3_600_000


async def test_a_connection_that_floods_is_cut_short_and_then_closed(
    redis: Redis, handler: AgentCommandHandler
) -> None:
    replies = [await request(handler) for _ in range(FRAME_BURST + 150)]
    limited = [reply for reply in replies if reply is not None]
    assert {reply.reason for reply in limited} == {"rate_limited"}
    assert all(reply.retry_after_ms for reply in limited)
    assert limited[-1].close


async def test_memory_stays_bounded_through_twenty_thousand_requests_and_answers(
    redis: Redis, session: Session, ingress: Ingress
) -> None:
    """Before and after: the same keys but for a handful, and the agent's own stream at its cap."""
    process = psutil.Process()
    before, rss_before = (await redis.info("memory"))["used_memory"], process.memory_info().rss
    wrong = {"server_cmd_id": "cmd_none", "sig": "A" * 43, "proof": "1"}
    for start in range(0, 20_000, 500):
        handlers = [AgentCommandHandler(ingress, session, f"ws-{start + n}") for n in range(10)]
        await asyncio.gather(*(request(handlers[n % 10], client_cmd_id=f"c-{start + n}") for n in range(250)))
        await asyncio.gather(*(answer(handlers[n % 10], wrong) for n in range(250)))
    await ingress.drain(2.0)
    after, rss_after = (await redis.info("memory"))["used_memory"], process.memory_info().rss
    print(f"20,000 messages: Valkey {before} -> {after} bytes; process {rss_before} -> {rss_after} bytes")
    assert await redis.dbsize() < 20
    assert await redis.xlen(keys.agent_stream("a-1")) < 1_000
    assert after - before < 2_000_000
    assert rss_after - rss_before < 30_000_000
    assert ingress.waiting == 0


# cooldown


async def open_challenge(redis: Redis) -> str:
    found: Any = await redis.get(keys.inflight("a-1"))
    return str(found.decode())


async def fail(handler: AgentCommandHandler, redis: Redis) -> CommandReply | None:
    """Answer whatever is open, wrongly."""
    server_cmd_id = await open_challenge(redis)
    return await answer(handler, {"server_cmd_id": server_cmd_id, "sig": "A" * 43, "proof": "1"})


async def test_the_sixth_failure_in_a_minute_begins_a_cooldown_that_a_reconnect_does_not_end(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    await challenged(redis, handler)
    for _ in range(5):
        await fail(handler, redis)
        clock.advance(500)
    assert not await redis.exists(api_keys.cooldown("a-1"))
    await fail(handler, redis)
    assert 29_000 < await redis.pttl(api_keys.cooldown("a-1")) <= 30_000
    again = AgentCommandHandler(ingress, await enlist(redis, new_session()), "ws-2")
    await request(again, client_cmd_id="c-7")
    ack = (await acks(redis))[-1]
    assert (ack["client_cmd_id"], ack["reason"]) == ("c-7", "rate_limited")
    assert 29_000 < ack["retry_after_ms"] <= 30_000
    await redis.delete(api_keys.cooldown("a-1"), keys.inflight("a-1"))
    await assert_free(redis, ingress, session, world)


async def test_a_right_answer_does_not_pass_in_a_cooldown(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    await redis.set(api_keys.cooldown("a-1"), 1, px=20_000)
    await answer(handler, payload)
    ack = (await acks(redis))[-1]
    assert (ack["reason"], ack["client_cmd_id"]) == ("rate_limited", "c-1")
    assert 0 < ack["retry_after_ms"] <= 20_000
    await ingress.drain(1.0)
    assert world.submitted == []


async def test_failures_further_apart_than_a_minute_do_not_add_up(
    redis: Redis, handler: AgentCommandHandler, clock: FakeClock
) -> None:
    await challenged(redis, handler)
    for _ in range(8):
        # Past its expiry the open challenge would be no failure; keep it open.
        await redis.hset(await challenge_key(redis), "exp", clock.now_ms // 1000 + 5)
        await fail(handler, redis)
        clock.advance(12_001)
    assert not await redis.exists(api_keys.cooldown("a-1"))


async def challenge_key(redis: Redis) -> str:
    return keys.challenge(await open_challenge(redis))


async def test_the_third_cooldown_closes_the_connection(redis: Redis, handler: AgentCommandHandler) -> None:
    await challenged(redis, handler)
    replies = []
    for _ in range(3):
        await redis.delete(api_keys.cooldown("a-1"), api_keys.limit_bucket("command_agent", "a-1"))
        replies = [await fail(handler, redis) for _ in range(6)]
    assert replies[:5] == [None] * 5
    assert replies[5] == CommandReply("rate_limited", 30_000, close=True)


# difficulty


async def test_invalid_answers_make_the_next_challenge_harder_on_every_gateway(
    redis: Redis,
    handler: AgentCommandHandler,
    session: Session,
    ingress: Ingress,
    other_gateway: Ingress,
    world: FakeWorld,
) -> None:
    await challenged(redis, handler)
    await fail(handler, redis)
    await ingress.drain(1.0)
    await redis.delete(keys.inflight("a-1"))
    assert (await challenged(redis, AgentCommandHandler(other_gateway, session, "ws-2")))["difficulty"] == 3


async def test_slow_solving_makes_the_next_challenge_easier(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, clock: FakeClock
) -> None:
    challenge = await challenged(redis, handler)
    clock.advance(501)
    await answer(handler, answer_to(session, challenge))
    await ingress.drain(2.0)
    assert (await challenged(redis, handler))["difficulty"] == 1


# a world that does not answer (the command is never lost, never both refused and accepted)


async def test_a_world_that_is_away_for_a_while_gets_the_command_again(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    world.answer = world.unavailable_times(2)
    await played(redis, ingress, handler, session)
    assert len({command.server_cmd_id for command in world.submitted}) == 1
    assert len(world.submitted) == 3
    assert len({command.deadline_ms for command in world.submitted}) == 1
    assert await acks(redis) == []


async def test_a_world_that_stays_away_is_refused_as_busy_and_the_agent_is_free(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    world.answer = world.unavailable_until(clock, ms_per_call=4_000)
    challenge = await challenged(redis, handler)
    await answer(handler, answer_to(session, challenge))
    await ingress.drain(5.0)
    (ack,) = await acks(redis)
    assert (ack["server_cmd_id"], ack["client_cmd_id"]) == (challenge["server_cmd_id"], "c-1")
    assert (ack["accepted"], ack["reason"], ack["retry_after_ms"]) == (False, "busy", 1_000)
    world.answer = None
    await assert_free(redis, ingress, session, world)


async def test_a_command_that_was_decided_after_all_is_not_refused(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    """The shard committed, its answer was lost, and no call came through again: the record tells."""
    world.answer = world.unavailable_until(clock, ms_per_call=8_000)
    challenge = await challenged(redis, handler)
    await redis.hset(keys.agent("a-1"), "rec", json.dumps({"running": {"server_cmd_id": challenge["server_cmd_id"]}}))
    await answer(handler, answer_to(session, challenge))
    await ingress.drain(5.0)
    assert await acks(redis) == []


async def test_the_next_gateway_submits_what_a_dead_one_left(
    redis: Redis,
    handler: AgentCommandHandler,
    session: Session,
    ingress: Ingress,
    other_gateway: Ingress,
    world: FakeWorld,
) -> None:
    never = asyncio.Event()

    async def hang(command: SubmittedCommand) -> ShardAnswer:
        await never.wait()
        raise AssertionError

    world.answer = hang
    await answer(handler, answer_to(session, await challenged(redis, handler)))
    await ingress.drain(0.05)  # the gateway dies with the command under way
    assert len(world.submitted) == 1
    world.answer = None
    await AgentCommandHandler(other_gateway, session, "ws-2").resume_pending()
    await other_gateway.drain(2.0)
    first, second = world.submitted
    assert first == second
    await assert_free(redis, other_gateway, session, world)


async def test_a_resumed_command_past_its_deadline_is_refused_once(
    redis: Redis,
    handler: AgentCommandHandler,
    session: Session,
    ingress: Ingress,
    other_gateway: Ingress,
    world: FakeWorld,
    clock: FakeClock,
) -> None:
    world.answer = world.unavailable_until(clock, ms_per_call=0)
    await answer(handler, answer_to(session, await challenged(redis, handler)))
    await ingress.drain(0.05)
    clock.advance(10_000)
    submitted = len(world.submitted)
    for _ in range(2):
        await AgentCommandHandler(other_gateway, session, "ws-2").resume_pending()
        await other_gateway.drain(2.0)
    assert len(world.submitted) == submitted
    assert [ack["reason"] for ack in await acks(redis)] == ["busy"]


async def test_reconnecting_drops_the_challenge_that_the_old_channel_left_open(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    fresh = AgentCommandHandler(ingress, session, "ws-2")
    await fresh.resume_pending()
    assert not await redis.exists(keys.inflight("a-1"))
    await answer(handler, payload)
    assert (await acks(redis))[-1]["reason"] == "expired_challenge"
    await played(redis, ingress, fresh, session)
    assert len(world.submitted) == 1


async def test_resuming_on_the_same_channel_leaves_its_challenge_open(
    redis: Redis, handler: AgentCommandHandler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    await handler.resume_pending()
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


async def test_with_nothing_pending_there_is_nothing_to_resume(handler: AgentCommandHandler, ingress: Ingress) -> None:
    await handler.resume_pending()
    assert ingress.waiting == 0


# Redis away


class Flaky:
    """Batched Redis whose answers get lost: the script runs, the caller gets an error."""

    def __init__(self, batch: RedisBatch) -> None:
        self.batch = batch
        self.lose: dict[str, int] = {}

    async def run(self, call: Call) -> Any:
        outcome = await self.batch.run(call)
        if self.lose.get(call.script.name, 0) > 0:
            self.lose[call.script.name] -= 1
            raise RedisConnectionError("answer lost")
        return outcome

    async def eval(self, script: Script, keys: Any, args: Any) -> Any:
        return await self.run(Call(script, tuple(keys), tuple(args)))

    async def command(self, *words: Any) -> Any:
        return await self.batch.command(*words)


async def test_a_consumed_answer_whose_reply_was_lost_still_wins(
    redis: Redis, batch: RedisBatch, session: Session, world: FakeWorld, clock: FakeClock
) -> None:
    flaky = Flaky(batch)
    ingress = Ingress(flaky, world, ChallengeRules(), clock)
    handler = AgentCommandHandler(ingress, session, "ws-1")
    payload = answer_to(session, await challenged(redis, handler))
    flaky.lose["challenge_consume"] = 1
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


async def test_without_redis_a_frame_is_answered_as_unavailable(
    redis: Redis, batch: RedisBatch, session: Session, world: FakeWorld, clock: FakeClock
) -> None:
    flaky = Flaky(batch)
    ingress = Ingress(flaky, world, ChallengeRules(), clock)
    handler = AgentCommandHandler(ingress, session, "ws-1")
    payload = answer_to(session, await challenged(redis, handler))
    flaky.lose = {"challenge_look_up": 1}
    assert await answer(handler, payload) == CommandReply("unavailable", 1_000)
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    flaky.lose = {"challenge_issue": 1}
    assert await request(handler) == CommandReply("unavailable", 1_000)
    await AgentCommandHandler(ingress, session, "ws-2").resume_pending()
    await assert_free(redis, ingress, session, world)


def test_a_reply_shows_only_what_it_has() -> None:
    assert CommandReply("x").payload() == {"reason": "x"}
    full = CommandReply("x", 5, "cmd_1", close=True)
    assert full.payload() == {"reason": "x", "retry_after_ms": 5, "server_cmd_id": "cmd_1"}


async def test_frames_are_typed(handler: AgentCommandHandler) -> None:
    """The helpers of these tests go through the real parser."""
    assert frame("command_req", client_cmd_id="c", cmd=MOVE).trace_id == "t-1"
