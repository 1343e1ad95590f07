"""The way of one command through the server, counted.

Gateway and shards run in this one process, so that one profiler sees all functions of ours that run between the
``command_req`` at the gateway's socket and the ``command_result`` there.  A hop is a pair of files of which one calls
the other on the way: what a reader has to open next.  ``make figures`` prints them.
"""

from __future__ import annotations

import asyncio
import json
import re
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
    """Notes which of our functions are entered, and from which, in the order in which it first happens."""

    def __init__(self) -> None:
        self._calls: dict[tuple[CodeType | None, CodeType], None] = {}

    def __enter__(self) -> Way:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self._calls[frame.f_back.f_code if frame.f_back else None, frame.f_code] = None

    @property
    def functions(self) -> list[str]:
        """``file function``, without comprehensions and lambdas."""
        codes = dict.fromkeys(code for _, code in self._calls)
        return [f"{file_of(code)} {code.co_qualname}" for code in codes if file_of(code) and "<" not in code.co_name]

    @property
    def hops(self) -> list[tuple[str, str]]:
        """Pairs of files of which the first calls the second."""
        pairs = ((file_of(caller), file_of(callee)) for caller, callee in self._calls)
        return list(dict.fromkeys((one, other) for one, other in pairs if one and other and one != other))


def file_of(code: CodeType | None) -> str | None:
    """The file of ours in which a function is; None if it is none of our rooms'."""
    if code is None or not code.co_filename.startswith(f"{ROOT}/"):
        return None
    file = code.co_filename.removeprefix(f"{ROOT}/")
    return file if file.partition("/")[0] in ROOMS else None


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


async def play(ws: ClientConnection, session: Any, name: str, *, x: int) -> None:
    """A walk from the challenge to its result."""
    cmd = {"type": "move_to", "x": x, "y": 25}
    await ws.send(frame_text("command_req", client_cmd_id=name, cmd=cmd))
    challenge = await message(ws, "command_challenge")
    await ws.send(frame_text("command_answer", **answer_to(session, challenge, cmd)))
    await message(ws, "command_ack")
    assert (await message(ws, "command_result"))["status"] == "completed"


async def test_the_way_is_as_long_as_the_architecture_says(gate: Gate) -> None:
    """A few more or less: which loops come round meanwhile is chance."""
    me = await gate.session("agent", AGENT)
    async with asyncio.timeout(60), gate.ws(f"/v1/agent/ws?agent_id={AGENT}", me.token) as ws:
        await message(ws, "chunk_delta")
        await play(ws, me.session, "c-1", x=25)  # what is done once only
        with Way() as way:
            await play(ws, me.session, "c-2", x=25)
    for number, (one, other) in enumerate(way.hops, 1):
        print(f"{number:3} {one} -> {other}")
    files = {function.split()[0] for function in way.functions}
    print(f"{len(way.hops)} hops, {len(way.functions)} functions in {len(files)} files")
    said = re.search(r"A command's way: .*?(\d+) hops after", (ROOT / "docs" / "architecture.md").read_text())
    assert said
    assert abs(len(way.hops) - int(said[1])) <= 10
