"""The way of one command through the server, counted: each function of ours that it runs, once.

A hop is a function that runs between the ``command_req`` at a gateway's socket and the ``command_result`` there.  Gateway
and shards run in this one process, so that one profiler sees them all.  ``make house`` prints the way.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from types import CodeType, FrameType
from typing import Any, Final

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection

from cluster.local import LocalWorld
from cluster.shard.config import ShardConfig
from config.settings import Settings
from streaming.connect import connect
from tests.api.gates import Gate, running
from tests.api.support import answer_to, frame_text
from tests.docs.blocks import ROOT
from world.rules import Rules

AGENT: Final = "ada"
CONFIG: Final = ShardConfig(tick_hz=10.0)
ROOMS: Final = ("api", "cluster", "streaming", "world")


class Way:
    """Notes functions of our rooms in the order in which they are first entered."""

    def __init__(self) -> None:
        self._seen: dict[CodeType, None] = {}

    def __enter__(self) -> Way:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self._seen[frame.f_code] = None

    @property
    def hops(self) -> list[str]:
        """``file function``, without comprehensions and lambdas."""
        found = []
        for code in self._seen:
            room, _, _ = code.co_filename.removeprefix(f"{ROOT}/").partition("/")
            if room in ROOMS and code.co_filename.startswith(f"{ROOT}/") and "<" not in code.co_name:
                found.append(f"{code.co_filename.removeprefix(f'{ROOT}/')} {code.co_qualname}")
        return found


@pytest.fixture
async def local_world(redis: Redis, valkey_url: str) -> AsyncIterator[LocalWorld]:
    client = connect(valkey_url)
    async with LocalWorld(client, shards=2, rules=Rules(demo=False), config=CONFIG) as world:
        yield world
    await client.aclose()


@pytest.fixture
async def gate(fresh_postgres_url: str, valkey_url: str, local_world: LocalWorld) -> AsyncIterator[Gate]:
    settings = Settings(environment="test", database_url=fresh_postgres_url, redis_url=valkey_url)
    async with running(settings, local_world.router) as gate:
        yield gate


async def message(ws: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    while True:
        said = json.loads(await ws.recv())
        if said["type"] == kind:
            payload: dict[str, Any] = said["payload"]
            return payload


async def say(ws: ClientConnection, session: Any, name: str) -> None:
    cmd = {"type": "move_to", "x": 25, "y": 25}
    await ws.send(frame_text("command_req", client_cmd_id=name, cmd=cmd))
    challenge = await message(ws, "command_challenge")
    await ws.send(frame_text("command_answer", **answer_to(session, challenge, cmd)))
    await message(ws, "command_ack")
    await message(ws, "command_result")


async def test_the_way_of_a_command(gate: Gate) -> None:
    me = await gate.session("agent", AGENT)
    async with asyncio.timeout(60), gate.ws(f"/v1/agent/ws?agent_id={AGENT}", me.token) as ws:
        await message(ws, "chunk_delta")
        await say(ws, me.session, "c-1")  # what is done once only
        await asyncio.sleep(2)
        with Way() as way:
            await say(ws, me.session, "c-2")
    for number, hop in enumerate(way.hops, 1):
        print(f"{number:3} {hop}")
    assert len(way.hops) > 20
