from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from api.challenge import ingress as ingress_module
from api.challenge.challenge import Challenge
from api.challenge.handshake import Handshake
from api.challenge.ingress import Ingress
from api.ports import ShardAnswer, SubmittedCommand
from streaming import keys
from tests.api.support import MOVE, FakeClock, FakeWorld, agent_messages, challenge_to
from world.commands import parse_command
from world.inputs import Refusal


def submit(ingress: Ingress, challenge: Challenge, deadline_ms: int) -> Handshake:
    """As a connection does that has closed right after it."""
    handshake = ingress.handshakes.enter("a-1", "acc_1")
    command = parse_command(challenge.cmd)
    assert not isinstance(command, Refusal)
    ingress.handshakes.issue(handshake, challenge, command)
    handshake.connections = 0
    ingress.submit(handshake, ingress.handshakes.consume(handshake, challenge), deadline_ms)
    return handshake


async def test_what_is_submitted_bears_its_deadline(ingress: Ingress, world: FakeWorld, clock: FakeClock) -> None:
    submit(ingress, challenge_to(now_ms=clock()), clock() + 6_000)
    assert ingress.waiting == 1
    await ingress.drain(1.0)
    (command,) = world.submitted
    assert (command.cmd, command.deadline_ms, command.trace_id) == (MOVE, clock() + 6_000, "t-1")
    assert ingress.waiting == 0
    assert len(ingress.handshakes) == 0


async def test_past_its_deadline_nothing_is_submitted(
    ingress: Ingress, world: FakeWorld, clock: FakeClock, redis: Redis
) -> None:
    challenge = challenge_to(now_ms=clock())
    submit(ingress, challenge, clock() - ingress_module.GIVE_UP_AFTER_MS - 1)
    await ingress.drain(1.0)
    assert world.submitted == []
    _, (kind, ack) = await agent_messages(redis, "a-1")
    assert (kind, ack["reason"], ack["server_cmd_id"]) == ("command_ack", "busy", "cmd_1")
    assert len(ingress.handshakes) == 0
    # What the shard's commit looks at, should a decision be under way after all.
    assert await redis.hget(keys.challenge("cmd_1"), "state") == b"REFUSED"
    assert await redis.ttl(keys.challenge("cmd_1")) > 0


async def test_giving_up_frees_only_its_own_slot(ingress: Ingress, clock: FakeClock, redis: Redis) -> None:
    challenge = challenge_to(now_ms=clock())
    for left, after in ((b"cmd_2", b"cmd_2"), (b"cmd_1", None)):
        await redis.delete(keys.challenge("cmd_1"))
        await redis.set(keys.inflight("a-1"), left)
        submit(ingress, challenge, clock() - 60_000)
        await ingress.drain(1.0)
        assert await redis.get(keys.inflight("a-1")) == after


async def test_giving_up_waits_for_redis(
    ingress: Ingress, clock: FakeClock, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up, failures = ingress.store.give_up, 2

    async def flaky(*args: Any, **named: Any) -> object:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise RedisConnectionError
        return await give_up(*args, **named)

    monkeypatch.setattr(ingress.store, "give_up", flaky)
    monkeypatch.setattr(ingress_module, "PAUSE_S", 0.001)
    challenge = challenge_to(now_ms=clock())
    submit(ingress, challenge, clock() - 60_000)
    await ingress.drain(2.0)
    assert [kind for kind, _ in await agent_messages(redis, "a-1")] == ["command_challenge", "command_ack"]


async def test_a_gateway_that_stops_waits_for_what_its_work_has_begun(
    ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    """A message that may be said is submitted by the work that asked for it."""

    async def ask() -> None:
        await asyncio.sleep(0.01)
        submit(ingress, challenge_to(now_ms=clock()), clock() + 6_000)

    async def decide(_: SubmittedCommand) -> ShardAnswer:
        await asyncio.sleep(0.01)
        return ShardAnswer(True)

    world.answer = decide
    ingress.start(ask())
    await ingress.drain(1.0)
    assert len(ingress.handshakes) == 0
    assert ingress.waiting == 0


async def test_a_failing_task_is_logged_and_leaves_the_others_alone(
    ingress: Ingress, world: FakeWorld, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail() -> None:
        raise RuntimeError("unexpected")

    ingress.start(fail())
    submit(ingress, challenge_to(now_ms=clock()), clock() + 6_000)
    await ingress.drain(1.0)
    assert len(world.submitted) == 1
    assert "ingress_task_failed" in capsys.readouterr().out


async def test_a_fault_of_the_world_still_ends_in_an_answer(
    ingress: Ingress, world: FakeWorld, clock: FakeClock, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody expected, each time: the agent is told ``busy`` and is free (pitfall B12)."""

    async def broken(_: SubmittedCommand) -> ShardAnswer:
        clock.advance(4_000)
        raise RuntimeError("bug")

    monkeypatch.setattr(ingress_module, "PAUSE_S", 0.001)
    world.answer = broken
    challenge = challenge_to(now_ms=clock())
    submit(ingress, challenge, clock() + 6_000)
    await ingress.drain(2.0)
    assert len(world.submitted) == 2
    assert [ack["reason"] for _, ack in (await agent_messages(redis, "a-1"))[1:]] == ["busy"]
    assert len(ingress.handshakes) == 0


async def test_draining_has_an_end(ingress: Ingress) -> None:
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    ingress.start(hang())
    await asyncio.sleep(0)
    await ingress.drain(0.01)
    assert cancelled.is_set()
    assert ingress.waiting == 0


async def test_what_is_taken_at_once_is_waited_for_all_the_same(
    ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    world.takes_at_once = True
    handshake = submit(ingress, challenge_to(now_ms=clock()), clock() + 6_000)
    ((command, decided),) = world.at_once
    assert command.server_cmd_id == "cmd_1"
    assert (ingress.waiting, world.submitted) == (1, [])
    draining = asyncio.create_task(ingress.drain(10.0))
    await asyncio.sleep(0.01)
    assert not draining.done()
    decided(True)
    assert handshake.submitted is None
    await asyncio.wait_for(draining, 10)
    assert (ingress.waiting, len(ingress.handshakes), world.submitted) == (0, 0, [])


async def test_what_was_taken_at_once_and_not_decided_is_submitted_again(
    ingress: Ingress, world: FakeWorld, clock: FakeClock
) -> None:
    world.takes_at_once = True
    submit(ingress, challenge_to(now_ms=clock()), clock() + 6_000)
    world.at_once[0][1](None)
    await ingress.drain(10.0)
    assert [command.server_cmd_id for command in world.submitted] == ["cmd_1"]
    assert len(ingress.handshakes) == 0


async def test_an_answer_after_the_end_is_nobodys(ingress: Ingress, world: FakeWorld, clock: FakeClock) -> None:
    world.takes_at_once = True
    submit(ingress, challenge_to(now_ms=clock()), clock() + 6_000)
    await ingress.kill()
    world.at_once[0][1](None)
    assert (ingress.waiting, world.submitted) == (0, [])


async def test_past_its_deadline_nothing_is_taken_at_once(ingress: Ingress, world: FakeWorld, clock: FakeClock) -> None:
    world.takes_at_once = True
    submit(ingress, challenge_to(now_ms=clock()), clock() - 1)
    await ingress.drain(10.0)
    assert world.at_once == []
    assert len(world.submitted) == 1
