"""Two whole worlds on one Redis, each with a gateway, and an agent of the same id in both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection

from api.accounts.sessions import OpenedSession
from cluster.local import LocalWorld
from config.settings import Settings
from streaming.connect import connect
from tests.api.gates import Gate, close_code, receive, receive_until, running
from tests.api.support import answer_to, frame_text

AGENT = "ada"
SOCKET = f"/v1/agent/ws?agent_id={AGENT}"
NEIGHBOURS = [("/0", "/1"), ("/0?world=blue", "/0?world=red"), ("/0", "/0?world=blue")]


@pytest.fixture(params=NEIGHBOURS, ids=lambda pair: " and ".join(pair))
async def gates(
    request: pytest.FixtureRequest, redis: Redis, valkey_url: str, fresh_postgres_url: str
) -> AsyncIterator[list[Gate]]:
    """A gateway of each world; accounts are of no matter here, so they share a database."""
    async with AsyncExitStack() as stack:
        gates = []
        for place in request.param:
            url = valkey_url.removesuffix("/0") + place
            settings = Settings(environment="test", database_url=fresh_postgres_url, redis_url=url)
            client = connect(url)
            stack.push_async_callback(client.aclose)
            world = await stack.enter_async_context(LocalWorld(client, shards=1))
            gates.append(await stack.enter_async_context(running(settings, world.router)))
        yield gates


async def say_hello(ws: ClientConnection, me: OpenedSession) -> None:
    cmd = {"type": "say", "text": "hello"}
    await ws.send(frame_text("command_req", client_cmd_id="c-1", cmd=cmd))
    challenge = (await receive_until(ws, "command_challenge"))[-1]["payload"]
    await ws.send(frame_text("command_answer", **answer_to(me.session, challenge, cmd)))
    assert (await receive_until(ws, "command_result"))[-1]["payload"]["status"] == "completed"


async def test_worlds_do_not_hear_kick_or_revoke_each_other(gates: list[Gate]) -> None:
    here, there = gates
    me, other = [await gate.session("agent", AGENT) for gate in gates]
    owner = await there.token("owner_spectator", AGENT)
    async with there.ws(SOCKET, other.token) as theirs, here.ws(SOCKET, me.token) as ours:
        await receive_until(theirs, "chunk_delta")
        await receive_until(ours, "chunk_delta")
        async with there.sse(f"/v1/owner/stream?agent_id={AGENT}", owner) as watching:
            await watching.until("chunk_delta")
            # Takes over from `ours`, plays, and ends with its session; the agent there goes on.
            async with here.ws(SOCKET, me.token) as newer:
                assert (await close_code(ours))[0] == 4001
                await receive_until(newer, "chunk_delta")
                await say_hello(newer, me)
                await here.services.sessions.revoke(me.session, me.token)
                await close_code(newer)
            await theirs.send(frame_text("ping"))
            assert (await receive(theirs))["type"] == "heartbeat"
            await say_hello(theirs, other)
            seen = await watching.until("command_result")
    commands = [event.kind for event in seen if event.kind.startswith("command_")]
    assert commands == ["command_challenge", "command_ack", "command_result"]
    assert [gate.streams.hub.bad_entries for gate in gates] == [0, 0]
