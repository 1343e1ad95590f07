"""Gateways that die, or lose their agent to another, at every point of a command; with real shards and a real Valkey.

Whatever happens: a command that has an ack has one, its challenge before it and, if it was accepted, its result behind
it; one that was not decided left no trace; and the agent plays on.  See docs/decisions/0013-handshake-in-memory.md.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from api.accounts.auth import Session
from api.challenge.ingress import Ingress
from api.challenge.store import ChallengeRules
from api.ports import JoinOutcome, ShardAnswer, SubmittedCommand
from cluster.local import LocalWorld
from cluster.router import Router
from config.limit import Limit
from streaming.batch import RedisBatch
from tests.api.support import Handler, agent_messages, answer, answer_to, enlist, new_session, request
from tests.cluster.worlds import Player, player, until

AGENT = "a-1"
RULES = ChallengeRules(agent_commands=Limit.parse("1000+1000/s"))


class HeldWorld:
    """A gateway's way to the shards that can be stopped, on the way there or on the way back."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.there, self.back = asyncio.Event(), asyncio.Event()
        self.there.set()
        self.back.set()
        self.reached = asyncio.Event()

    async def join(self, agent_id: str, account_id: str, trace_id: str) -> JoinOutcome:
        return await self._router.join(agent_id, account_id, trace_id)

    async def submit(self, command: SubmittedCommand) -> ShardAnswer:
        if not self.there.is_set():
            self.reached.set()
            await self.there.wait()
        answer = await self._router.submit(command)
        if not self.back.is_set():
            self.reached.set()
            await self.back.wait()
        return answer

    def submit_at_once(self, command: SubmittedCommand, decided: Callable[[bool | None], None]) -> bool:
        flows = self.there.is_set() and self.back.is_set()
        return flows and self._router.submit_at_once(command, decided)

    async def problems(self) -> list[str]:
        return []

    async def metrics(self) -> bytes:
        return b""


class Gateway:
    """What of a gateway takes part in a handshake."""

    def __init__(self, redis: Redis, world: LocalWorld) -> None:
        self.batch = RedisBatch(redis)
        self.router = Router(redis, self.batch, world.shards, spawn_capacity=world.rules.spawn_chunk_capacity)
        self.world = HeldWorld(self.router)
        self.ingress = Ingress(self.batch, self.world, RULES)

    async def die(self) -> None:
        """As by ``kill -9``: nothing is written back, and what has been sent goes on where it is."""
        await self.ingress.kill()
        await self.router.close()
        await self.batch.close()


class Scene:
    def __init__(self, redis: Redis, world: LocalWorld, ada: Player, session: Session) -> None:
        self.redis, self.world, self.ada, self.session = redis, world, ada, session
        self.gateways: list[Gateway] = []

    def gateway(self) -> Gateway:
        self.gateways.append(Gateway(self.redis, self.world))
        return self.gateways[-1]

    def connect(self, gateway: Gateway, channel: str) -> Handler:
        handler = Handler(gateway.ingress, self.session, channel)
        handler.begin()
        return handler

    async def step(self) -> dict[str, Any]:
        """A move to the cell beside the agent."""
        _, x, y = await self.ada.place()
        return {"type": "move_to", "x": x + (1 if x < 25 else -1), "y": y}

    async def asked(self, handler: Handler, cmd: object, name: str) -> dict[str, Any] | None:
        """Request a command; its challenge, or None: the agent is busy."""
        before = len(handler.told)
        assert await request(handler, cmd, name) is None
        return handler.challenge if len(handler.told) > before else None

    async def answered(self, handler: Handler, challenge: dict[str, Any], cmd: object) -> None:
        assert await answer(handler, answer_to(self.session, challenge, cmd)) is None

    async def plays(self, handler: Handler, name: str) -> str:
        """Have a command accepted and wait for its result, trying again while the agent is busy."""
        for number in range(200):
            cmd = await self.step()
            challenge = await self.asked(handler, cmd, f"{name}-{number}")
            if challenge is not None:
                await self.answered(handler, challenge, cmd)
                server_cmd_id: str = challenge["server_cmd_id"]
                await until(lambda: self.heard(server_cmd_id, "command_ack"), "an ack")  # noqa: B023
                if (await self.heard(server_cmd_id, "command_ack"))[0]["accepted"]:
                    await self.ada.result(server_cmd_id)
                    return server_cmd_id
            await asyncio.sleep(0.05)
        raise AssertionError("busy for ever")

    async def heard(self, server_cmd_id: str, kind: str = "") -> list[dict[str, Any]]:
        """What the agent's stream has of a command."""
        messages = await agent_messages(self.redis, AGENT)
        return [p for k, p in messages if p.get("server_cmd_id") == server_cmd_id and k.startswith(kind)]

    async def assert_whole(self) -> None:
        """Each command of the stream: one challenge, one ack, and one result if it was accepted, in this order."""
        by_command: dict[str, list[str]] = {}
        running: str | None = None
        for kind, payload in await agent_messages(self.redis, AGENT):
            name = payload.get("server_cmd_id")
            if not name:
                continue
            said = f"{kind} {payload['accepted']}" if kind == "command_ack" else kind
            by_command.setdefault(name, []).append(said)
            if said == "command_ack True":
                assert running is None, "one command at a time"
                running = name
            elif kind == "command_result":
                assert running == name
                running = None
        accepted = ["command_challenge", "command_ack True", "command_result"]
        refused = ["command_challenge", "command_ack False"]
        assert [said for said in by_command.values() if said not in (accepted, refused, ["command_challenge"])] == []


@pytest.fixture
async def scene(redis: Redis) -> AsyncIterator[Scene]:
    async with LocalWorld(redis, shards=1) as world:
        session = await enlist(redis, new_session(AGENT))
        scene = Scene(redis, world, await player(world, AGENT), session)
        yield scene
        for gateway in scene.gateways:
            await gateway.die()


POINTS = ("before the challenge", "challenged", "consumed", "applied", "committed", "acked")
#: From here on the shard decides, whatever becomes of the gateway.
DECIDED = POINTS[3:]


async def go_to(scene: Scene, gateway: Gateway, handler: Handler, point: str, cmd: object) -> str | None:
    """Bring a command to ``point``; its id, if it has one."""
    if point == "before the challenge":
        return None
    challenge = await scene.asked(handler, cmd, "c-first")
    assert challenge is not None
    server_cmd_id: str = challenge["server_cmd_id"]
    if point == "challenged":
        return server_cmd_id
    held = {"consumed": gateway.world.there, "committed": gateway.world.back}.get(point)
    if held is not None:
        held.clear()
    await scene.answered(handler, challenge, cmd)
    if held is not None:
        await gateway.world.reached.wait()
    elif point == "acked":
        await until(lambda: scene.heard(server_cmd_id, "command_ack"), "the ack")
    return server_cmd_id


@pytest.mark.parametrize("point", POINTS)
async def test_a_gateway_that_dies_leaves_a_whole_command_or_none(scene: Scene, point: str) -> None:
    first, second = scene.gateway(), scene.gateway()
    handler = scene.connect(first, "ws-1")
    commits, cmd = scene.world.shards.runtimes[0].commits, await scene.step()
    if point == "applied":
        async with commits.lock:  # in the shard's memory, and not in its journal
            server_cmd_id = await go_to(scene, first, handler, point, cmd)
            while not commits.next.challenges:
                await asyncio.sleep(0.001)
            await first.die()
    else:
        server_cmd_id = await go_to(scene, first, handler, point, cmd)
        await first.die()
    again = scene.connect(second, "ws-2")
    if server_cmd_id is not None:
        # Whoever sends the answer again on the new connection learns that this is no place for it, and no more.
        reply = await answer(again, {"server_cmd_id": server_cmd_id, "sig": "A" * 43})
        assert reply is not None
        assert reply.reason == "already_consumed"
    played = await scene.plays(again, "c-second")
    if server_cmd_id is not None:
        heard = await scene.heard(server_cmd_id)
        assert bool(heard) == (point in DECIDED)
    assert await scene.heard(played, "command_result")
    await scene.assert_whole()


@pytest.mark.parametrize("point", POINTS)
async def test_a_takeover_at_any_point_ends_every_command_once(scene: Scene, point: str) -> None:
    """The first gateway lives on: it hears of the takeover a little later, or not at all for a while."""
    first, second = scene.gateway(), scene.gateway()
    handler = scene.connect(first, "ws-1")
    server_cmd_id = await go_to(scene, first, handler, point, await scene.step())
    again = scene.connect(second, "ws-2")
    playing = asyncio.create_task(scene.plays(again, "c-second"))
    await asyncio.sleep(0.01)
    handler.close()
    first.world.there.set()
    first.world.back.set()
    await playing
    await first.ingress.drain(5.0)
    if server_cmd_id is not None:
        heard = await scene.heard(server_cmd_id)
        # What nobody answered is seen by the owner, and nothing more comes of it.
        assert len(heard) == 1 if point == "challenged" else len(heard) >= 2
    await scene.assert_whole()
    assert len(first.ingress.handshakes) == 0


async def test_two_gateways_that_both_believe_to_have_the_agent_end_every_command_once(scene: Scene) -> None:
    """Neither hears of the other: the shard decides, one command at a time."""
    dice = random.Random(13)
    outcomes: Counter[str] = Counter()
    answered: list[str] = []

    async def play(handler: Handler, number: int) -> None:
        for turn in range(15):
            cmd = await scene.step()
            challenge = await scene.asked(handler, cmd, f"c-{number}-{turn}")
            if challenge is not None:
                await scene.answered(handler, challenge, cmd)
                answered.append(challenge["server_cmd_id"])
            await asyncio.sleep(dice.random() / 10)

    handlers = [scene.connect(scene.gateway(), f"ws-{number}") for number in range(2)]
    await asyncio.gather(*(play(handler, number) for number, handler in enumerate(handlers)))
    for gateway in scene.gateways:
        await gateway.ingress.drain(5.0)
    for server_cmd_id in answered:
        (ack,) = await scene.heard(server_cmd_id, "command_ack")
        outcomes[ack.get("reason", "accepted")] += 1
        if ack["accepted"]:
            await scene.ada.result(server_cmd_id)
    assert outcomes["accepted"] > 2
    await scene.assert_whole()


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_shard_that_dies_around_its_commit_is_asked_again_and_the_challenge_comes_once(
    scene: Scene, moment: str
) -> None:
    gateway = scene.gateway()
    handler = scene.connect(gateway, "ws-1")
    held = gateway.world.there if moment == "before" else gateway.world.back
    held.clear()
    cmd = await scene.step()
    challenge = await scene.asked(handler, cmd, "c-1")
    assert challenge is not None
    await scene.answered(handler, challenge, cmd)
    await gateway.world.reached.wait()
    await scene.world.kill_shard(0)
    held.set()
    await asyncio.sleep(0.05)
    await scene.world.start_shard(0)
    await gateway.ingress.drain(8.0)
    await scene.ada.result(challenge["server_cmd_id"])
    assert len(await scene.heard(challenge["server_cmd_id"], "command_challenge")) == 1
    await scene.assert_whole()
