"""Agents that keep to no rule, on real sockets of two gateways, while shards die and Valkey stands still.

They answer twice, wrongly, late, and on other connections than they were asked on; connect twice; and go away in the
middle of anything.  Whatever they do: an accepted command has its challenge, one ack and one result, one at a time;
none is accepted after it was refused for good; owners see the stream as it is; and in the end nothing is kept of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from api.accounts.sessions import OpenedSession
from cluster.local import LocalWorld
from cluster.router import Router
from config.settings import Settings
from streaming import keys
from streaming.batch import RedisBatch
from streaming.connect import connect
from streaming.entry import events_of
from tests.api.gates import Gate, running
from tests.api.support import answer_to, frame_text
from tests.cluster.worlds import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

AGENTS = 8
SECONDS = float(os.environ.get("DISHONEST_SECONDS", "20"))
HIT_EVERY_S = 3.0
REFUSALS_OF_ANSWERS = {"auth_failed", "rate_limited", "expired_challenge"}

Refused = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError)


@dataclass
class Dishonest:
    """One agent with all its connections."""

    agent_id: str
    gates: list[Gate]
    me: OpenedSession
    dice: random.Random
    #: Challenges that it was sent, with their commands; it may answer any of them, on any connection.
    challenges: list[dict[str, Any]] = field(default_factory=list)
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    heard: Counter[str] = field(default_factory=Counter)
    asked: int = 0

    async def live(self) -> None:
        """Connect, misbehave, go, and come again."""
        while True:
            with suppress(*Refused):
                await self._connection()
            await asyncio.sleep(self.dice.random() / 10)

    async def _connection(self) -> None:
        gate = self.dice.choice(self.gates)
        async with gate.ws(f"/v1/agent/ws?agent_id={self.agent_id}", self.me.token, open_timeout=5) as ws:
            listening = asyncio.create_task(self._listen(ws))
            second = None
            try:
                for _ in range(self.dice.randrange(2, 40)):
                    await self._do_something(ws)
                    await asyncio.sleep(self.dice.random() / 20)
                    if second is None and self.dice.random() < 0.03:
                        second = asyncio.create_task(self._once_more())
                if self.dice.random() < 0.5:
                    ws.transport.abort()
            finally:
                listening.cancel()
                if second is not None:
                    await asyncio.wait([second])

    async def _once_more(self) -> None:
        with suppress(*Refused):
            await self._connection()

    async def _listen(self, ws: ClientConnection) -> None:
        with suppress(*Refused):
            async for text in ws:
                message = json.loads(text)
                payload = message["payload"]
                if message["type"] == "command_challenge":
                    self.challenges.append(payload)
                    del self.challenges[:-6]
                    if self.dice.random() < 0.7:
                        await self._answer(ws, payload)
                elif message["type"] == "error":
                    self.heard[payload["reason"]] += 1

    async def _do_something(self, ws: ClientConnection) -> None:
        deed = self.dice.random()
        if deed < 0.5:
            await self._ask(ws)
        elif self.challenges and deed < 0.9:
            payload = self.dice.choice(self.challenges)
            for _ in range(self.dice.choice([1, 1, 2, 5])):
                await self._answer(ws, payload)
        elif self.challenges and deed < 0.92:
            await self._answer(ws, self.dice.choice(self.challenges), nonce="another")

    async def _ask(self, ws: ClientConnection) -> None:
        self.asked += 1
        name = f"{self.agent_id}-{self.asked}"
        cmd: dict[str, Any] = {"type": "say", "text": f"number {self.asked}"}
        if self.dice.random() < 0.7:
            cmd = {"type": "move_to", "x": 25 + self.dice.randrange(-4, 5), "y": 25 + self.dice.randrange(-4, 5)}
        self.commands[name] = cmd
        await ws.send(frame_text("command_req", client_cmd_id=name, cmd=cmd))

    async def _answer(self, ws: ClientConnection, challenge: dict[str, Any], **other: Any) -> None:
        cmd = self.commands[challenge["client_cmd_id"]]
        await ws.send(frame_text("command_answer", **answer_to(self.me.session, challenge, cmd, **other)))


async def follow(gate: Gate, agent_id: str, seen: list[tuple[str, str]]) -> None:
    """Be its owner: keep what is said of its commands, over lost connections."""
    token = await gate.token("owner_spectator", agent_id)
    last: str | None = None
    while True:
        with suppress(*Refused, KeyError):
            more = "" if last is None else f"&last_event_id={last}"
            async with gate.ws(f"/v1/owner/ws?agent_id={agent_id}{more}", token) as ws:
                async for text in ws:
                    message = json.loads(text)
                    last = message.get("event_id", last)
                    if message["type"].startswith("command_"):
                        seen.append((message["type"], message["payload"]["server_cmd_id"]))
        await asyncio.sleep(0.05)


async def read(redis: Redis, agent_id: str, into: list[tuple[str, dict[str, Any]]]) -> None:
    """Take what the agent's stream has on and on: it is cut short while this goes on."""
    key, last = keys.agent_stream(agent_id), "0-0"
    while True:
        with suppress(RedisError, OSError, TimeoutError):
            entries: Any = await redis.xrange(key, min=f"({last}")
            for id_, fields in entries:
                last = id_.decode()
                into += [(event.kind, event.fields()) for event in events_of(key, id_, fields[b"m"])]
        await asyncio.sleep(0.2)


def findings(messages: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """What is wrong with an agent's stream."""
    found: list[str] = []
    challenged: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    over: set[str] = set()
    running: str | None = None
    for kind, payload in messages:
        name = payload.get("server_cmd_id")
        if not name:
            continue
        if kind == "command_challenge":
            challenged[name] += 1
            if challenged[name] > 1 or accepted[name]:
                found.append(f"{name}: challenge too late or twice")
        elif kind == "command_ack" and payload["accepted"]:
            accepted[name] += 1
            if accepted[name] > 1 or name in over or not challenged[name]:
                found.append(f"{name}: accepted again, after its end, or without a challenge")
            if running is not None:
                found.append(f"{name}: accepted while {running} runs")
            running = name
        elif kind == "command_ack":
            if accepted[name] or name in over:
                found.append(f"{name}: refused ({payload['reason']}) after its ack")
            if payload["reason"] not in REFUSALS_OF_ANSWERS or payload.get("code") in ("muted", "banned_words"):
                over.add(name)
        elif kind == "command_result":
            if running != name:
                found.append(f"{name}: a result of what does not run")
            running = None
    return found + ([] if running is None else [f"{running}: no result"])


@pytest.fixture
async def world(redis: Redis, valkey_url: str) -> AsyncIterator[LocalWorld]:
    client = connect(valkey_url)
    async with LocalWorld(client, shards=2) as world:
        yield world
    await client.aclose()


async def hit(world: LocalWorld, redis: Redis, dice: random.Random) -> None:
    """Break something for a while."""
    if dice.random() < 0.5:
        shard = dice.randrange(2)
        await world.kill_shard(shard)
        await asyncio.sleep(dice.random())
        await world.start_shard(shard)
    else:
        await redis.client_pause(dice.choice([500, 2_000, 5_000]))


async def test_whatever_agents_do_each_command_ends_once(
    settings: Settings, world: LocalWorld, redis: Redis, valkey_url: str
) -> None:
    seed = int(os.environ.get("DISHONEST_SEED") or random.SystemRandom().randrange(10**6))
    dice = random.Random(seed)
    names = [f"rogue-{number}" for number in range(AGENTS)]
    async with AsyncExitStack() as stack:
        gates: list[Gate] = []
        for _ in range(2):
            client = connect(valkey_url)
            stack.push_async_callback(client.aclose)
            batch = RedisBatch(client)
            stack.push_async_callback(batch.close)
            router = Router(client, batch, world.shards, spawn_capacity=world.rules.spawn_chunk_capacity)
            gates.append(await stack.enter_async_context(running(settings, router)))
        rogues = [
            Dishonest(name, gates, await gates[0].session("agent", name), random.Random(dice.random()))
            for name in names
        ]
        owners: list[list[tuple[str, str]]] = [[] for _ in names]
        following = [
            asyncio.create_task(follow(gates[0], name, seen)) for name, seen in zip(names, owners, strict=True)
        ]
        streams: dict[str, list[tuple[str, dict[str, Any]]]] = {name: [] for name in names}
        following += [asyncio.create_task(read(redis, name, stream)) for name, stream in streams.items()]
        tasks = [asyncio.create_task(rogue.live()) for rogue in rogues]
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        while loop.time() < end:
            await asyncio.sleep(HIT_EVERY_S)
            await hit(world, redis, dice)
        await asyncio.sleep(6)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        async def quiet() -> bool:
            return all(gate.services.ingress.waiting == 0 for gate in gates)

        await until(quiet, "nothing is under way", 20)
        for gate in gates:
            handshakes = gate.services.ingress.handshakes

            async def empty() -> bool:
                return len(handshakes) == 0 and not handshakes.accounts and not handshakes._challenges  # noqa: B023

            await until(empty, "nothing is kept", 10)
        for name, stream in streams.items():

            async def ended() -> bool:
                return not findings(stream)  # noqa: B023

            with suppress(AssertionError):
                await until(ended, f"the last result of {name}", 15)
        accepted = sum(payload.get("accepted", False) for stream in streams.values() for _, payload in stream)
        print(f"seed {seed}: {accepted} accepted, {sum((rogue.heard for rogue in rogues), Counter())}")
        assert accepted > AGENTS
        assert {name: found for name, m in streams.items() if (found := findings(m))} == {}, f"seed {seed}"
        for name, seen in zip(names, owners, strict=True):
            told = [(k, p["server_cmd_id"]) for k, p in streams[name] if k.startswith("command_")]

            async def all_seen() -> bool:
                return seen[-5:] == told[-5:]  # noqa: B023

            await until(all_seen, f"the owner has seen all of {name}", 10)
            assert seen == told, f"seed {seed}: owner of {name}"
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
