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
from api.challenge import command_handler
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
    Handler,
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


@pytest.fixture(autouse=True, params=[False, True], ids=["in a task", "at once"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds whichever way a frame is handled."""
    monkeypatch.setattr(Handler, "AT_ONCE", request.param)


@pytest.fixture
async def session(redis: Redis) -> Session:
    return await enlist(redis, new_session())


@pytest.fixture
def handler(ingress: Ingress, session: Session) -> Handler:
    return Handler(ingress, session, "ws-1")


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


async def challenged(redis: Redis, handler: Handler, cmd: object = MOVE) -> dict[str, Any]:
    """Request ``cmd`` and give back the challenge."""
    before = len(handler.told)
    assert await request(handler, cmd) is None
    assert len(handler.told) == before + 1, await agent_messages(redis, "a-1")
    return handler.challenge


ACCEPTED = ShardAnswer(True)


def decided_later(world: FakeWorld, decision: ShardAnswer = ACCEPTED) -> asyncio.Event:
    """Let every command be decided so, but not before the event that is returned is set."""
    decide = asyncio.Event()

    async def later(command: SubmittedCommand) -> ShardAnswer:
        await decide.wait()
        return decision

    world.answer = later
    return decide


async def played(redis: Redis, ingress: Ingress, handler: Handler, session: Session, cmd: object = MOVE) -> None:
    """A whole command, up to the world's decision."""
    challenge = await challenged(redis, handler, cmd)
    assert await answer(handler, answer_to(session, challenge, cmd)) is None
    await ingress.drain(2.0)


async def assert_free(redis: Redis, ingress: Ingress, session: Session, world: FakeWorld) -> None:
    """The agent can have its next command done (pitfall B12)."""
    before = len(world.submitted)
    await played(redis, ingress, Handler(ingress, session, "ws-after"), session)
    assert len(world.submitted) == before + 1


async def everything(redis: Redis) -> list[bytes]:
    """All that Redis holds, dumped."""
    names: Any = await redis.keys()
    return [name + (await redis.dump(name) or b"") for name in names]


async def acks(redis: Redis) -> list[dict[str, Any]]:
    return [payload for kind, payload in await agent_messages(redis, "a-1") if kind == "command_ack"]


# -- a right answer --


async def test_a_right_answer_is_submitted_once_as_it_was_hashed(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
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
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    """What is executed is what was signed: the decomposed accent arrives decomposed (pitfall B16)."""
    cmd = {"type": "say", "text": "he\u0301llo \U0001f600"}
    await played(redis, ingress, handler, session, cmd)
    assert world.submitted[0].cmd == cmd


async def test_a_challenge_bears_the_trace_of_its_request(redis: Redis, handler: Handler, clock: FakeClock) -> None:
    await challenged(redis, handler)
    (told,) = handler.told
    assert (told.kind, told.trace_id, told.ts_ms) == ("command_challenge", "t-1", clock.now_ms)


async def test_a_challenge_is_in_no_key_and_holds_no_secret(redis: Redis, handler: Handler, session: Session) -> None:
    challenge = await challenged(redis, handler)
    assert session.cmd_secret not in str(challenge)
    assert challenge["server_cmd_id"].encode() not in b" ".join(await everything(redis))


async def test_a_command_takes_no_script_but_a_lease_for_many(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    """What handshakes cost Redis in the usual case: for five, one lease of the agent's and one of its account."""
    await redis.config_resetstat()
    for _ in range(5):
        challenge = await challenged(redis, handler)
        assert await answer(handler, answer_to(session, challenge)) is None
        while ingress.waiting:
            await asyncio.sleep(0.001)
        handler.saw("command_result", handler.told[-1].payload)
    stats: Any = await redis.info("commandstats")
    calls = [stats[name] for name in ("cmdstat_eval", "cmdstat_evalsha")]
    assert sum(call["calls"] - call["failed_calls"] for call in calls) == 2
    assert len(world.submitted) == 5


async def test_every_key_of_a_handshake_expires(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress
) -> None:
    """All but the agent's own hash, which is the world's."""
    await answer(handler, {**answer_to(session, await challenged(redis, handler)), "sig": "A" * 43})
    handler.close()
    await ingress.drain(1.0)
    for key in await redis.keys():
        if key != b"agent:a-1":
            assert await redis.pttl(key) != -1, key


# -- answers that come more than once (pitfall B18) --


async def test_the_same_answer_twice_wins_once(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    assert await answer(handler, payload) is None
    reply = await answer(handler, payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    await ingress.drain(2.0)
    assert len(world.submitted) == 1
    assert await acks(redis) == []


async def test_fifty_equal_answers_at_once_have_one_winner(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    replies = await asyncio.gather(*(answer(handler, payload) for _ in range(50)))
    await ingress.drain(2.0)
    assert len(world.submitted) == 1
    assert replies.count(None) == 1
    assert {reply.reason for reply in replies if reply is not None} == {"already_consumed"}


async def test_an_answer_sent_again_after_its_challenge_was_forgotten_gives_no_second_ack(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    """The agent's record still knows the id, so the refusal goes to the socket and not into the stream."""
    payload = answer_to(session, await challenged(redis, handler))
    await answer(handler, payload)
    await ingress.drain(2.0)
    handler.close()
    clock.advance(ingress.rules.record_ttl_ms + 1)
    await redis.hset(keys.agent("a-1"), "rec", json.dumps({"recent": [payload["server_cmd_id"]]}))
    reply = await answer(Handler(ingress, session, "ws-2"), payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert await acks(redis) == []
    assert len(world.submitted) == 1


async def test_an_answer_sent_again_after_its_command_was_given_up_gives_no_second_ack(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    world.answer = world.unavailable_until(clock, ms_per_call=8_000)
    payload = answer_to(session, await challenged(redis, handler))
    await answer(handler, payload)
    handler.close()
    await ingress.drain(5.0)
    reply = await answer(Handler(ingress, session, "ws-2"), payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert len(await acks(redis)) == 1


@pytest.mark.parametrize("point", ["challenged", "consumed", "in a cooldown"])
async def test_an_answer_sent_again_to_another_gateway_gives_no_ack(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, other_gateway: Ingress, point: str
) -> None:
    """What became of the challenge there is not known here, and a shard may be about to accept its command."""
    payload = answer_to(session, await challenged(redis, handler))
    if point == "consumed":
        await answer(handler, payload)
    if point == "in a cooldown":
        await redis.set(api_keys.cooldown("a-1"), 1, px=20_000)
    again = Handler(other_gateway, session, "ws-2")
    await request(again, {"type": "fly"}, "c-2")
    reply = await answer(again, payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert [ack["client_cmd_id"] for ack in await acks(redis)] == ["c-2"]


async def test_in_a_cooldown_an_answer_sent_again_gives_no_ack_either(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    for _ in range(5):
        await fail(handler)
    await answer(handler, payload)
    for _ in range(1 + ingress.rules.cooldown.failures_max):
        await answer(handler, payload | {"sig": "A" * 43, "server_cmd_id": "cmd_none"})
    told = len(await acks(redis))
    assert await answer(handler, payload) == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert len(await acks(redis)) == told
    await ingress.drain(1.0)


async def test_a_wrong_answer_leaves_the_challenge_open_for_a_right_one(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
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


async def test_after_ten_seconds_a_challenge_is_unknown_and_the_agent_free(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    clock.advance(10_001)
    await answer(handler, payload)
    ack = (await acks(redis))[-1]
    assert (ack["reason"], ack["code"]) == ("expired_challenge", "unknown_challenge")
    await assert_free(redis, ingress, session, world)


# -- wrong answers, each with its code --


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
    handler: Handler,
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


async def test_a_proof_that_misses_is_refused(redis: Redis, handler: Handler, session: Session) -> None:
    challenge = await challenged(redis, handler)
    wrong = unsolved(challenge["nonce"], hash_of(canonical(MOVE)), challenge["difficulty"])
    await answer(handler, answer_to(session, challenge) | {"proof": wrong})
    assert (await acks(redis))[-1]["code"] == "bad_proof"


async def test_a_changed_command_does_not_verify_and_can_not_be_smuggled_in(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    """The command lies in the challenge: signing another one fails, sending one along is ignored."""
    challenge = await challenged(redis, handler)
    await answer(handler, answer_to(session, challenge, MOVE | {"x": 9}))
    assert (await acks(redis))[-1]["code"] == "bad_signature"
    await answer(handler, answer_to(session, challenge) | {"cmd": MOVE | {"x": 9}})
    await ingress.drain(2.0)
    assert [command.cmd for command in world.submitted] == [MOVE]


@pytest.mark.parametrize("echo", [{"difficulty": 0}, {"expires_at": 2_000_000_000}, {"agent_id": "a-2"}])
async def test_only_stored_values_count(redis: Redis, handler: Handler, session: Session, echo: dict[str, Any]) -> None:
    challenge = await challenged(redis, handler)
    await answer(handler, answer_to(session, challenge, **echo) | echo)
    assert (await acks(redis))[-1]["reason"] == "auth_failed"


async def test_another_channel_of_the_same_agent_can_not_answer(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    await answer(Handler(ingress, session, "ws-2"), payload)
    assert (await acks(redis))[-1]["code"] == "channel_mismatch"


async def test_another_session_of_the_same_agent_can_not_answer(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress
) -> None:
    other = await enlist(redis, replace(new_session(), cmd_secret=session.cmd_secret))
    payload = answer_to(session, await challenged(redis, handler))
    await answer(Handler(ingress, other, "ws-1"), payload)
    assert (await acks(redis))[-1]["code"] == "session_mismatch"


async def test_another_agent_can_not_answer_and_is_told_in_its_own_stream(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    thief = await enlist(redis, replace(session, agent_id="a-2"))
    payload = answer_to(session, await challenged(redis, handler))
    await answer(Handler(ingress, thief, "ws-1"), payload)
    kind, ack = await last_message(redis, "a-2")
    assert (kind, ack["code"], ack["client_cmd_id"]) == ("command_ack", "agent_mismatch", None)
    assert await acks(redis) == []
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


# -- expiry --


@pytest.mark.parametrize(("late_ms", "wins"), [(-1, True), (0, True), (999, True), (1000, False), (1001, False)])
async def test_the_server_clock_alone_decides_at_the_boundary_second(
    redis: Redis,
    handler: Handler,
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


async def test_an_expired_challenge_frees_the_agent_without_a_word_from_the_client(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    """It is free no later than a second after the challenge's last one."""
    await challenged(redis, handler)
    clock.advance(6_000)
    await assert_free(redis, ingress, session, world)


async def test_expired_answers_are_no_offence(
    redis: Redis, handler: Handler, session: Session, clock: FakeClock
) -> None:
    challenge = await challenged(redis, handler)
    clock.advance(20_000)
    for _ in range(8):
        await answer(handler, answer_to(session, challenge))
    assert not await redis.exists(api_keys.cooldown("a-1"))
    assert {ack["reason"] for ack in await acks(redis)} == {"expired_challenge"}


# -- one at a time --


async def test_a_second_request_is_busy_and_disturbs_nothing(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    challenge = await challenged(redis, handler)
    await request(Handler(ingress, session, "ws-2"), client_cmd_id="c-2")
    kind, ack = await last_message(redis, "a-1")
    assert kind == "command_ack"
    assert (ack["client_cmd_id"], ack["reason"]) == ("c-2", "busy")
    assert 0 < ack["retry_after_ms"] <= 500
    assert await answer(handler, answer_to(session, challenge)) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


async def test_twenty_requests_at_once_over_five_sockets_get_one_challenge(
    redis: Redis, session: Session, batch: RedisBatch, world: FakeWorld, clock: FakeClock
) -> None:
    ingress = Ingress(batch, world, replace(ChallengeRules(), agent_commands=Limit.parse("20+1/h")), clock)
    handlers = [Handler(ingress, session, f"ws-{n}") for n in range(5)]
    await asyncio.gather(*(request(handlers[n % 5], client_cmd_id=f"c-{n}") for n in range(20)))
    assert sum(len(handler.told) for handler in handlers) == 1
    assert [ack["reason"] for ack in await acks(redis)] == ["busy"] * 19


@pytest.mark.parametrize(("busy", "expected"), [("move_to", "busy"), ("say", "busy"), ("harvest", None), ("", None)])
async def test_only_harvesting_can_be_interrupted(
    redis: Redis, handler: Handler, busy: str, expected: str | None
) -> None:
    """Of what the agent did when it connected."""
    await redis.hset(keys.agent("a-1"), "busy", busy)
    await request(handler)
    assert [ack["reason"] for ack in await acks(redis)] == ([expected] if expected else [])
    assert len(handler.told) == (not expected)


@pytest.mark.parametrize(("cmd", "busy"), [(MOVE, True), ({"type": "harvest", "node_id": "n-1"}, False)])
async def test_what_runs_makes_busy_until_its_result_is_shown(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, cmd: dict[str, Any], busy: bool
) -> None:
    await played(redis, ingress, handler, session, cmd)
    running = handler.challenge["server_cmd_id"]
    await redis.hset(keys.agent("a-1"), "busy", cmd["type"])
    await request(handler, client_cmd_id="c-2")
    assert [ack["reason"] for ack in await acks(redis)] == (["busy"] if busy else [])
    if not busy:
        return
    handler.saw("command_result", b'{"server_cmd_id":"of another"}')
    await request(handler, client_cmd_id="c-3")
    assert len(await acks(redis)) == 2
    handler.saw("command_result", f'{{"server_cmd_id":"{running}"}}'.encode())
    await challenged(redis, handler)


async def test_a_result_that_was_not_seen_keeps_nobody_busy(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress
) -> None:
    """The record counts: what this gateway believes may be out of date."""
    await played(redis, ingress, handler, session)
    await challenged(redis, handler)
    assert await acks(redis) == []


@pytest.mark.parametrize("told_by", ["world", "stream", "record"])
async def test_a_submitted_command_keeps_the_agent_busy_until_it_is_decided(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, told_by: str
) -> None:
    """An agent that has its ack may ask at once, though the shard's answer is still on its way to the gateway."""
    decide = decided_later(world, ShardAnswer(False, "unreachable"))
    await answer(handler, answer_to(session, await challenged(redis, handler)))
    await request(handler, client_cmd_id="c-2")
    assert (await acks(redis))[-1]["reason"] == "busy"
    ack = json.dumps({"server_cmd_id": handler.challenge["server_cmd_id"], "accepted": False}).encode()
    if told_by == "world":
        decide.set()
        await ingress.drain(2.0)
    elif told_by == "stream":
        handler.saw("command_ack", ack)
    else:
        await redis.hset(keys.agent("a-1"), "rec", ack)
    await challenged(redis, handler)
    decide.set()
    await ingress.drain(2.0)
    assert len(await acks(redis)) == 1


# -- requests that are refused --


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
    handler: Handler,
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


async def test_a_dead_session_can_not_ask(redis: Redis, handler: Handler, session: Session) -> None:
    await redis.delete(keys.session_by_jti(session.jti))
    assert await request(handler) == CommandReply("invalid_session", close=True)
    assert await agent_messages(redis, "a-1") == []


async def test_a_revoked_session_gets_no_further_lease(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    """Its sockets are closed before (``api.sockets.connections``); without that it ends with what was leased."""
    await played(redis, ingress, handler, session)
    await redis.delete(keys.session_by_jti(session.jti))
    replies = [await request(handler) for _ in range(10)]
    assert replies[-1] == CommandReply("invalid_session", close=True)
    assert replies.count(None) == 4


def test_a_handler_needs_an_agent(ingress: Ingress) -> None:
    with pytest.raises(ValueError, match="agent"):
        AgentCommandHandler(ingress, replace(new_session(), agent_id=None), "ws-1", print)


async def test_a_ping_is_none_of_the_handlers_business(handler: Handler) -> None:
    assert await handler.handle(Ping(TraceId("t"))) is None


# -- chat --


async def test_one_message_in_two_seconds(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
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


async def test_a_refused_message_is_answered_once(redis: Redis, handler: Handler, session: Session) -> None:
    await redis.set(api_keys.chat("a-1"), 1, px=2_000)
    payload = answer_to(session, await challenged(redis, handler, SAY), SAY)
    assert await answer(handler, payload) is None
    assert await answer(handler, payload) == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert len(await acks(redis)) == 1


# -- floods --


async def test_requests_beyond_the_rate_are_refused_and_then_not_even_noted(
    redis: Redis, session: Session, batch: RedisBatch, world: FakeWorld
) -> None:
    """The limit is the agent's, over all its sockets; the stream takes at most twice the rate."""
    most = 10
    ingress = Ingress(batch, world, replace(ChallengeRules(), agent_commands=Limit.parse(f"{most}+1/h")))
    handlers = [Handler(ingress, session, f"ws-{n}") for n in range(5)]
    replies = [await request(handlers[n % 5], client_cmd_id=f"c-{n}") for n in range(60)]
    reasons = [ack["reason"] for ack in await acks(redis)]
    assert sum(len(handler.told) for handler in handlers) == 1
    assert len(reasons) == 2 * most - 1
    assert reasons.count("busy") == most - 1
    assert reasons.count("rate_limited") == most
    assert all(reply is not None and reply.reason == "rate_limited" for reply in replies[2 * most :])
    assert 0 < await redis.pttl(api_keys.limit_bucket("command_agent", "a-1")) <= most * 3_600_000


async def test_a_connection_that_floods_is_cut_short_and_then_closed(redis: Redis, handler: Handler) -> None:
    replies = [await request(handler) for _ in range(FRAME_BURST + 150)]
    limited = [reply for reply in replies if reply is not None]
    assert {reply.reason for reply in limited} == {"rate_limited"}
    assert all(reply.retry_after_ms for reply in limited)
    assert limited[-1].close


@pytest.mark.parametrize("way", [False], indirect=True)
async def test_memory_stays_bounded_through_twenty_thousand_requests_and_answers(
    redis: Redis, session: Session, ingress: Ingress
) -> None:
    """Before and after: the same keys but for a handful, and the agent's own stream at its cap."""
    process = psutil.Process()
    before, rss_before = (await redis.info("memory"))["used_memory"], process.memory_info().rss
    wrong = {"server_cmd_id": "cmd_none", "sig": "A" * 43, "proof": "1"}
    for start in range(0, 20_000, 500):
        handlers = [Handler(ingress, session, f"ws-{start + n}") for n in range(10)]
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


# -- cooldown --


async def fail(handler: Handler) -> CommandReply | None:
    """Answer the newest challenge, wrongly."""
    return await answer(handler, {"server_cmd_id": handler.challenge["server_cmd_id"], "sig": "A" * 43, "proof": "1"})


async def test_the_sixth_failure_in_a_minute_begins_a_cooldown_that_a_reconnect_does_not_end(
    redis: Redis,
    handler: Handler,
    session: Session,
    ingress: Ingress,
    other_gateway: Ingress,
    world: FakeWorld,
    clock: FakeClock,
) -> None:
    await challenged(redis, handler)
    for _ in range(5):
        await fail(handler)
        clock.advance(500)
    assert not await redis.exists(api_keys.cooldown("a-1"))
    await fail(handler)
    assert 29_000 < await redis.pttl(api_keys.cooldown("a-1")) <= 30_000
    again = Handler(ingress, await enlist(redis, new_session()), "ws-2")
    await request(again, client_cmd_id="c-7")
    ack = (await acks(redis))[-1]
    assert (ack["client_cmd_id"], ack["reason"]) == ("c-7", "rate_limited")
    assert 29_000 < ack["retry_after_ms"] <= 30_000
    elsewhere = Handler(other_gateway, session, "ws-3")
    await request(elsewhere, client_cmd_id="c-8")
    assert (await acks(redis))[-1] | {"retry_after_ms": 0} == ack | {"client_cmd_id": "c-8", "retry_after_ms": 0}
    await redis.delete(api_keys.cooldown("a-1"))
    clock.advance(30_001)
    await assert_free(redis, ingress, session, world)


async def test_a_right_answer_does_not_pass_in_a_cooldown(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    for _ in range(6):
        await fail(handler)
    await answer(handler, payload)
    ack = (await acks(redis))[-1]
    assert (ack["reason"], ack["client_cmd_id"]) == ("rate_limited", "c-1")
    assert 29_000 < ack["retry_after_ms"] <= 30_000
    await ingress.drain(1.0)
    assert world.submitted == []


async def test_failures_further_apart_than_a_minute_do_not_add_up(
    redis: Redis, handler: Handler, clock: FakeClock
) -> None:
    for _ in range(8):
        await challenged(redis, handler)
        await fail(handler)
        clock.advance(12_001)
        await asyncio.sleep(0.2)  # tokens come back by the real clock
    assert not await redis.exists(api_keys.cooldown("a-1"))


async def test_the_third_cooldown_closes_the_connection(
    redis: Redis, batch: RedisBatch, session: Session, world: FakeWorld, clock: FakeClock
) -> None:
    rules = replace(ChallengeRules(), agent_commands=Limit.parse("1000+1000/s"))
    handler = Handler(Ingress(batch, world, rules, clock), session, "ws-1")
    replies = []
    for _ in range(3):
        await redis.delete(api_keys.cooldown("a-1"))
        clock.advance(31_000)
        await challenged(redis, handler)
        replies = [await fail(handler) for _ in range(6)]
    assert replies[:5] == [None] * 5
    assert replies[5] == CommandReply("rate_limited", 30_000, close=True)


# -- difficulty --


async def test_invalid_answers_make_the_next_challenge_harder_on_every_gateway(
    redis: Redis,
    handler: Handler,
    session: Session,
    ingress: Ingress,
    other_gateway: Ingress,
    world: FakeWorld,
) -> None:
    await challenged(redis, handler)
    await fail(handler)
    await ingress.drain(1.0)
    assert (await challenged(redis, Handler(other_gateway, session, "ws-2")))["difficulty"] == 3


async def test_slow_solving_makes_the_next_challenge_easier(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, clock: FakeClock
) -> None:
    challenge = await challenged(redis, handler)
    clock.advance(501)
    await answer(handler, answer_to(session, challenge))
    await ingress.drain(2.0)
    assert (await challenged(redis, handler))["difficulty"] == 1


# a world that does not answer (the command is never lost, never both refused and accepted)


async def test_a_world_that_is_away_for_a_while_gets_the_command_again(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    world.answer = world.unavailable_times(2)
    await played(redis, ingress, handler, session)
    assert len({command.server_cmd_id for command in world.submitted}) == 1
    assert len(world.submitted) == 3
    assert len({command.deadline_ms for command in world.submitted}) == 1
    assert await acks(redis) == []


async def test_a_world_that_stays_away_is_refused_as_busy_and_the_agent_is_free(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
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
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    """The shard committed, its answer was lost, and no call came through again: the record tells."""
    world.answer = world.unavailable_until(clock, ms_per_call=8_000)
    challenge = await challenged(redis, handler)
    await redis.hset(keys.agent("a-1"), "rec", json.dumps({"running": {"server_cmd_id": challenge["server_cmd_id"]}}))
    await answer(handler, answer_to(session, challenge))
    await ingress.drain(5.0)
    assert await acks(redis) == []


async def test_reconnecting_drops_the_challenge_that_the_old_channel_left_open(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    fresh = Handler(ingress, session, "ws-2")
    fresh.begin()
    await answer(handler, payload)
    assert (await acks(redis))[-1]["reason"] == "expired_challenge"
    await played(redis, ingress, fresh, session)
    assert len(world.submitted) == 1


async def test_beginning_on_the_same_channel_leaves_its_challenge_open(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler))
    handler.begin()
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


# -- what owners see --


async def kinds(redis: Redis) -> list[str]:
    return [kind for kind, _ in await agent_messages(redis, "a-1")]


async def test_the_challenge_of_a_command_goes_to_the_shard_with_it(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    """Its commit writes both, so the stream has neither until then."""
    issued_ms = clock.now_ms
    challenge = await challenged(redis, handler)
    clock.advance(300)
    await answer(handler, answer_to(session, challenge))
    await ingress.drain(2.0)
    (command,) = world.submitted
    assert (json.loads(command.challenge), command.issued_ms) == (challenge, issued_ms)
    assert await kinds(redis) == []


async def test_a_refusal_brings_its_challenge_into_the_stream_once(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    challenge = await challenged(redis, handler)
    for _ in range(2):
        await fail(handler)
    assert await kinds(redis) == ["command_challenge", "command_ack", "command_ack"]
    assert (await agent_messages(redis, "a-1"))[0][1] == challenge
    await answer(handler, answer_to(session, challenge))
    await ingress.drain(2.0)
    assert [command.challenge for command in world.submitted] == [b""]


async def test_a_command_that_is_given_up_has_its_challenge_before_its_ack(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    world.answer = world.unavailable_until(clock, ms_per_call=8_000)
    await answer(handler, answer_to(session, await challenged(redis, handler)))
    await ingress.drain(5.0)
    assert await kinds(redis) == ["command_challenge", "command_ack"]


async def test_a_message_that_may_not_be_said_has_its_challenge_before_its_ack(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress
) -> None:
    await redis.set(api_keys.chat("a-1"), 1, px=2_000)
    await played(redis, ingress, handler, session, SAY)
    assert await kinds(redis) == ["command_challenge", "command_ack"]


@pytest.mark.parametrize("how", ["expired", "closed", "taken over"])
async def test_a_challenge_that_nobody_answers_is_seen_too(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, clock: FakeClock, how: str
) -> None:
    challenge = await challenged(redis, handler)
    if how == "expired":
        clock.advance(6_000)
        await challenged(redis, handler)
    elif how == "closed":
        handler.close()
    else:
        Handler(ingress, session, "ws-2").begin()
    await ingress.drain(1.0)
    assert await agent_messages(redis, "a-1") == [("command_challenge", challenge)]


# -- a connection that ends --


async def test_the_last_connection_gives_back_what_it_leased(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, other_gateway: Ingress
) -> None:
    """And no more: reconnecting fills no bucket up again."""
    await challenged(redis, handler)
    bucket, account = api_keys.limit_bucket("command_agent", "a-1"), api_keys.limit_bucket("command_account", "acc_1")
    leased_ms, account_ms = await redis.pttl(bucket), await redis.pttl(account)
    assert 400 < leased_ms <= 500
    second = Handler(ingress, session, "ws-2")
    handler.close()
    handler.close()
    await asyncio.sleep(0)
    assert (ingress.waiting, len(ingress.handshakes)) == (1, 1)  # the owner's note
    second.close()
    await ingress.drain(1.0)
    assert len(ingress.handshakes) == 0
    assert await redis.pttl(bucket) <= 100
    assert await redis.pttl(account) <= 1 < account_ms


async def test_counts_of_answers_outlive_the_connection(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, other_gateway: Ingress, clock: FakeClock
) -> None:
    for _ in range(4):
        await played(redis, ingress, handler, session)
    handler.close()
    await ingress.drain(1.0)
    bad = Handler(other_gateway, session, "ws-2")
    assert (await challenged(redis, bad))["difficulty"] == 2
    await fail(bad)  # one in five: not more than 20 %
    clock.advance(1_000)
    await fail(bad)
    await other_gateway.drain(1.0)
    assert await redis.hget(api_keys.difficulty("a-1"), "level") == b"3"


async def test_what_a_connection_leaves_undecided_keeps_the_agent_busy_elsewhere(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, other_gateway: Ingress, world: FakeWorld
) -> None:
    decide = decided_later(world)
    await answer(handler, answer_to(session, await challenged(redis, handler)))
    handler.close()
    while not await redis.exists(keys.inflight("a-1")):
        await asyncio.sleep(0.002)
    assert 0 < await redis.pttl(keys.inflight("a-1")) <= 7_000
    for gateway in (ingress, other_gateway):
        again = Handler(gateway, session, "ws-2")
        await request(again)
        assert again.told == []
    assert [ack["reason"] for ack in await acks(redis)] == ["busy", "busy"]
    decide.set()
    await ingress.drain(2.0)
    assert len(ingress.handshakes) == 1  # the second connection there
    await challenged(redis, Handler(other_gateway, session, "ws-3"))


async def test_an_answer_sent_again_elsewhere_while_undecided_is_no_refusal(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, other_gateway: Ingress, world: FakeWorld
) -> None:
    """A refusal would be followed by the shard's own ack: accepted after it was refused."""
    decide = decided_later(world)
    payload = answer_to(session, await challenged(redis, handler))
    await answer(handler, payload)
    handler.close()
    while not await redis.exists(keys.inflight("a-1")):
        await asyncio.sleep(0.002)
    again = Handler(other_gateway, session, "ws-2")
    reply = await answer(again, payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert await acks(redis) == []
    decide.set()
    await ingress.drain(2.0)


async def test_an_answer_sent_again_elsewhere_after_it_was_given_up_gets_no_second_ack(
    redis: Redis,
    handler: Handler,
    session: Session,
    ingress: Ingress,
    other_gateway: Ingress,
    world: FakeWorld,
    clock: FakeClock,
) -> None:
    world.answer = world.unavailable_until(clock, ms_per_call=3_000)
    payload = answer_to(session, await challenged(redis, handler))
    await answer(handler, payload)
    await ingress.drain(5.0)
    handler.close()
    await ingress.drain(1.0)
    assert [ack["reason"] for ack in await acks(redis)] == ["busy"]
    again = Handler(other_gateway, session, "ws-2")
    reply = await answer(again, payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert len(await acks(redis)) == 1


async def test_a_message_refused_elsewhere_gets_no_second_ack(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, other_gateway: Ingress
) -> None:
    await redis.set(api_keys.mute("a-1"), "operator", px=60_000)
    payload = answer_to(session, await challenged(redis, handler, SAY), SAY)
    assert await answer(handler, payload) is None
    handler.close()
    await ingress.drain(1.0)
    reply = await answer(Handler(other_gateway, session, "ws-2"), payload)
    assert reply == CommandReply("already_consumed", server_cmd_id=payload["server_cmd_id"])
    assert len(await acks(redis)) == 1


async def test_a_request_of_a_replaced_connection_keeps_the_new_one_free(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress
) -> None:
    """It was waiting for its lease when the agent was taken over; nobody could answer its challenge."""
    handler.begin()
    asking = asyncio.create_task(request(handler))
    await asyncio.sleep(0)
    again = Handler(ingress, session, "ws-2")
    again.begin()
    await asking
    assert handler.told == []
    await challenged(redis, again)


async def test_nothing_is_kept_of_an_agent_that_was_there(
    redis: Redis, batch: RedisBatch, world: FakeWorld, clock: FakeClock
) -> None:
    ingress = Ingress(batch, world, ChallengeRules(), clock)
    for n in range(30):
        session = await enlist(redis, new_session(f"b-{n}"))
        handler = Handler(ingress, replace(session, account_id=f"acc_{n}"), "ws-1")
        await request(handler)
        handler.close()
    await ingress.drain(1.0)
    assert (len(ingress.handshakes), ingress.handshakes.accounts, ingress.handshakes._challenges) == (0, [], {})


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


async def test_an_allowed_message_whose_reply_was_lost_is_said(
    redis: Redis, batch: RedisBatch, session: Session, world: FakeWorld, clock: FakeClock
) -> None:
    flaky = Flaky(batch)
    ingress = Ingress(flaky, world, ChallengeRules(), clock)
    handler = Handler(ingress, session, "ws-1")
    payload = answer_to(session, await challenged(redis, handler, SAY), SAY)
    flaky.lose["speak"] = 1
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


async def test_a_message_that_nobody_could_judge_may_be_answered_for_again(
    redis: Redis,
    batch: RedisBatch,
    session: Session,
    world: FakeWorld,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command_handler, "PAUSE_S", 0.001)
    flaky = Flaky(batch)
    ingress = Ingress(flaky, world, ChallengeRules(), clock)
    handler = Handler(ingress, session, "ws-1")
    payload = answer_to(session, await challenged(redis, handler, SAY), SAY)
    flaky.lose["speak"] = command_handler.SPEAK_TRIES
    assert await answer(handler, payload) == CommandReply("unavailable", 1_000)
    assert await answer(handler, payload) is None
    await ingress.drain(2.0)
    assert len(world.submitted) == 1
    assert await acks(redis) == []


@pytest.mark.parametrize("end", ["closed", "taken over"])
async def test_a_message_that_nobody_could_judge_keeps_nobody_busy_when_its_connection_is_gone(
    redis: Redis,
    batch: RedisBatch,
    session: Session,
    world: FakeWorld,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    monkeypatch.setattr(command_handler, "PAUSE_S", 0.02)
    flaky = Flaky(batch)
    ingress = Ingress(flaky, world, ChallengeRules(), clock)
    handler = Handler(ingress, session, "ws-1")
    payload = answer_to(session, await challenged(redis, handler, SAY), SAY)
    flaky.lose["speak"] = command_handler.SPEAK_TRIES
    answering = asyncio.create_task(answer(handler, payload))
    await asyncio.sleep(0)
    if end == "taken over":
        again = Handler(ingress, session, "ws-2")
        again.begin()
    handler.close()
    assert await answering == CommandReply("unavailable", 1_000)
    await ingress.drain(1.0)
    assert world.submitted == []
    if end == "closed":
        assert len(ingress.handshakes) == 0
        again = Handler(ingress, session, "ws-2")
    await redis.delete(keys.inflight("a-1"))  # it runs out by itself
    await challenged(redis, again)


@pytest.mark.parametrize("first", ["speak", "leave"])
async def test_a_message_that_is_refused_while_its_connection_ends_keeps_nobody_busy(
    redis: Redis,
    batch: RedisBatch,
    session: Session,
    world: FakeWorld,
    clock: FakeClock,
    other_gateway: Ingress,
    first: str,
) -> None:
    await redis.set(api_keys.mute("a-1"), "operator", px=60_000)
    order: list[str] = []
    gates = {"speak": asyncio.Event(), "leave": asyncio.Event()}
    gates[first].set()

    class InOrder(Flaky):
        async def run(self, call: Call) -> Any:
            if (gate := gates.get(call.script.name)) is None:
                return await super().run(call)
            await gate.wait()
            order.append(call.script.name)
            outcome = await super().run(call)
            for each in gates.values():
                each.set()
            await asyncio.sleep(0.01)  # the other runs before anybody knows of this one
            return outcome

    ingress = Ingress(InOrder(batch), world, ChallengeRules(), clock)
    handler = Handler(ingress, session, "ws-1")
    payload = answer_to(session, await challenged(redis, handler, SAY), SAY)
    answering = asyncio.create_task(answer(handler, payload))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    handler.close()
    await answering
    await ingress.drain(1.0)
    assert order[0] == first
    assert [ack["reason"] for ack in await acks(redis)] == ["rate_limited"]
    await challenged(redis, Handler(other_gateway, session, "ws-2"))


async def test_a_message_is_said_though_the_connection_ends_meanwhile(
    redis: Redis, handler: Handler, session: Session, ingress: Ingress, world: FakeWorld
) -> None:
    payload = answer_to(session, await challenged(redis, handler, SAY), SAY)
    answering = asyncio.create_task(answer(handler, payload))
    await asyncio.sleep(0)
    answering.cancel()
    handler.close()
    await ingress.drain(2.0)
    assert len(world.submitted) == 1


async def test_without_redis_a_connection_plays_on_what_it_has_leased_and_no_more(
    redis: Redis, batch: RedisBatch, session: Session, world: FakeWorld, clock: FakeClock
) -> None:
    flaky = Flaky(batch)
    ingress = Ingress(flaky, world, ChallengeRules(), clock)
    handler = Handler(ingress, session, "ws-1")
    flaky.lose = {"lease": 1}
    assert await request(handler) == CommandReply("unavailable", 1_000)
    await played(redis, ingress, handler, session)
    flaky.lose = {"lease": 100, "refuse": 100}
    replies = []
    for _ in range(12):
        replies.append(await request(handler))
        clock.advance(6_000)
        handler.saw("command_result", b'{"server_cmd_id":"%b"}' % handler.told[0].payload[0:0])
    assert replies[-1] == CommandReply("unavailable", 1_000)
    assert await answer(handler, {"server_cmd_id": "cmd_x", "sig": "A" * 43}) == CommandReply("unavailable", 1_000)


def test_a_reply_shows_only_what_it_has() -> None:
    assert CommandReply("x").payload() == {"reason": "x"}
    full = CommandReply("x", 5, "cmd_1", close=True)
    assert full.payload() == {"reason": "x", "retry_after_ms": 5, "server_cmd_id": "cmd_1"}


async def test_frames_are_typed(handler: Handler) -> None:
    """The helpers of these tests go through the real parser."""
    assert frame("command_req", client_cmd_id="c", cmd=MOVE).trace_id == "t-1"


async def test_at_once_is_what_asks_nobody(handler: Handler, world: FakeWorld, session: Session) -> None:
    """The first request takes a lease, and a wrong answer is refused in the agent's stream; a right one is neither."""

    def at_once(kind: str, **payload: Any) -> bool:
        read = frame(kind, **payload)
        assert not isinstance(read, Ping)
        return handler.at_once(read)

    assert not at_once("command_req", client_cmd_id="c-1", cmd=MOVE)
    assert handler.told == []
    await request(handler)
    assert not at_once("command_req", client_cmd_id="c-2", cmd=MOVE), "it has a challenge open"
    right = answer_to(session, handler.challenge)
    assert not at_once("command_answer", **right | {"sig": "A" * 43})
    assert not at_once("command_answer", **right | {"server_cmd_id": "cmd_other"})
    assert at_once("command_answer", **right)
    assert not at_once("command_answer", **right), "it is used up"
    await handler._ingress.drain(1.0)
    assert [command.server_cmd_id for command in world.submitted] == [right["server_cmd_id"]]
    handler.saw("command_result", f'{{"server_cmd_id":"{right["server_cmd_id"]}"}}'.encode())
    handler._handshake.account.held += 1  # a lease of the account's is one token here
    assert at_once("command_req", client_cmd_id="c-3", cmd=MOVE)
    assert handler.challenge["client_cmd_id"] == "c-3"
