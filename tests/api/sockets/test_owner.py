"""Owners over SSE and WebSocket, through a gateway that listens."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from redis.asyncio import Redis
from websockets.exceptions import ConnectionClosed

from config.settings import Settings
from streaming.entry import PRIVATE_KINDS
from tests.api.gates import Gate, SseEvent, close_code, receive, receive_until, running
from tests.api.support import FakeWorld
from tests.streaming.wanderer import AGENT, Story
from tests.streaming.writer import AgentWriter, ChunkWriter

STREAM = f"/v1/owner/stream?agent_id={AGENT}"
SOCKET = f"/v1/owner/ws?agent_id={AGENT}"


@pytest.fixture
async def chunk(redis: Redis) -> ChunkWriter:
    chunk = ChunkWriter(redis)
    await chunk.create()
    await chunk.tick(10, (AGENT,))
    return chunk


@pytest.fixture
async def agent(redis: Redis, chunk: ChunkWriter) -> AgentWriter:
    agent = AgentWriter(redis, AGENT)
    await agent.place(chunk.chunk_id)
    return agent


async def test_every_private_kind_is_seen_once_flat_and_nested(gate: Gate, agent: AgentWriter) -> None:
    token = await gate.token("owner_spectator", AGENT)
    kinds = sorted(PRIVATE_KINDS - {"chunk_transition"})
    async with gate.sse(STREAM, token) as reader, gate.ws(SOCKET, token) as ws:
        start = await reader.take(3)
        assert [event.kind for event in start] == ["session_ready", "chunk_static", "chunk_delta"]
        assert start[0].data["role"] == "owner_spectator"
        assert start[0].data["agent_id"] == AGENT
        assert start[0].data["agent_online"] is True
        assert start[2].id == "chunk-0:10:0:0"
        await receive_until(ws, "chunk_delta")
        for number, kind in enumerate(kinds, 1):
            await agent.event(kind, accepted=True)
            (event,) = await reader.take(1)
            assert (event.kind, event.id) == (kind, f"chunk-0:10:0:{number}")
            assert event.data["payload"] == {"agent_id": AGENT, "accepted": True}
            assert event.data["accepted"] is True
            message = await receive(ws)
            assert (message["type"], message["event_id"]) == (kind, event.id)
            assert message["payload"] == event.data["payload"]


async def test_a_transition_is_followed_by_the_destination(gate: Gate, redis: Redis, agent: AgentWriter) -> None:
    there = ChunkWriter(redis, "chunk-1")
    await there.create()
    await there.tick(11)
    async with gate.sse(STREAM, await gate.token("owner_spectator", AGENT)) as reader:
        await reader.take(3)
        await agent.place("chunk-1")
        await agent.event("chunk_transition", from_chunk_id="chunk-0", to_chunk_id="chunk-1", tick=12)
        await agent.event("command_result", status="completed")
        (transition, static) = await reader.take(2)
        assert transition.data["payload"]["to_chunk_id"] == transition.data["to_chunk_id"] == "chunk-1"
        assert static.data["chunk_id"] == "chunk-1"
        await there.tick(12, (AGENT,))
        (delta, result) = await reader.take(2)
        assert (delta.id, result.id) == ("chunk-1:12:0:1", "chunk-1:12:0:2")
    await gate.idle()


async def test_resuming_over_chunks_and_gateways(settings: Settings, world: FakeWorld, redis: Redis) -> None:
    story = Story(redis, seed=6, leaves=True)
    await story.begin()
    events: list[SseEvent] = []
    last: str | None = None
    for _ in range(6):
        async with running(settings, world) as gate:  # each time another gateway
            async with gate.sse(STREAM, await gate.token("owner_spectator", AGENT), last_event_id=last) as reader:
                want = [n for n in story.visible if n > number(last)]
                events += await reader.take(1)
                while (want and number(last) < want[-1]) or last is None:
                    (event,) = await reader.take(1)
                    events.append(event)
                    last = event.id or last
            await story.steps(15)
    seen = [number(event.id) for event in events if "payload" in event.data]
    assert seen == [n for n in story.visible if n <= seen[-1]]
    assert len(seen) > 15
    assert "resync_required" not in [event.kind for event in events]


def number(event_id: str | None) -> int:
    return int(event_id.split(":")[3]) if event_id is not None else 0


async def test_an_agent_that_is_away_is_awaited(gate: Gate, redis: Redis, chunk: ChunkWriter) -> None:
    async with gate.sse(STREAM, await gate.token("owner_spectator", AGENT)) as reader:
        (ready,) = await reader.take(1)
        assert (ready.data["agent_online"], ready.data["chunk_id"]) == (False, None)
        agent = AgentWriter(redis, AGENT)
        await agent.place("chunk-0")
        await agent.event("agent_placed", chunk_id="chunk-0", x=1, y=1, tick=11)
        await chunk.tick(11, (AGENT,))
        kinds = [event.kind for event in await reader.until("chunk_delta")]
        assert [kind for kind in kinds if kind != "heartbeat"] == ["chunk_static", "chunk_delta"]


async def test_who_may_not(gate: Gate, agent: AgentWriter) -> None:
    cases = [
        ("none", STREAM, SOCKET, 401, "invalid_session"),
        (await gate.token("spectator"), STREAM, SOCKET, 403, "invalid_scope"),
        ("test-spectator-token", STREAM, SOCKET, 403, "invalid_scope"),
        (await gate.token("agent", AGENT), STREAM, SOCKET, 403, "invalid_scope"),
        (await gate.token("owner_spectator", "bob"), STREAM, SOCKET, 403, "agent_mismatch"),
        (await gate.token("owner_spectator", AGENT), STREAM + "|", SOCKET + "|", 422, "invalid_request"),
    ]
    for token, stream, ws, status, reason in cases:
        async with gate.sse(stream, token) as reader:
            body = json.loads(await reader.response.aread())
            assert (reader.response.status_code, body["detail"]) == (status, reason), (stream, reason)
        assert await gate.denied(ws, token) == (status, reason), ws


@pytest.mark.parametrize("said", ['{"type":"command_req"}', b"\x00"])
async def test_an_owner_only_watches(gate: Gate, agent: AgentWriter, said: str | bytes) -> None:
    async with gate.ws(SOCKET, await gate.token("owner_spectator", AGENT)) as ws:
        await receive_until(ws, "chunk_delta")
        await ws.send(said)
        assert await close_code(ws) == (1008, "read_only")
    await gate.idle()


@pytest.mark.parametrize("last_event_id", ["chunk-0:10:0", "chunk-0:99:0:0", "-:0:0:7", "abc"])
async def test_a_useless_id_is_a_resync(gate: Gate, agent: AgentWriter, last_event_id: str) -> None:
    token = await gate.token("owner_spectator", AGENT)
    expected = ["session_ready", "resync_required", "chunk_static", "chunk_delta"]
    async with gate.sse(STREAM, token, last_event_id=last_event_id) as reader:
        assert [event.kind for event in await reader.take(4)] == expected
    async with gate.ws(f"{SOCKET}&last_event_id={last_event_id}", token) as ws:
        assert [message["type"] for message in await receive_until(ws, "chunk_delta")] == expected


async def test_one_that_does_not_read_is_closed_and_replays(gate: Gate, agent: AgentWriter) -> None:
    token = await gate.token("owner_spectator", AGENT)
    async with gate.ws(SOCKET, token, max_queue=1) as ws:
        await receive_until(ws, "chunk_delta")
        (connection,) = gate.streams.connections._slot_of
        written = 0
        while not connection.queue.overflowed and connection.queue.closed is None:
            written += 1
            await agent.event("command_ack", filler="x" * 30_000)
            assert written < 5_000
        got = []
        with suppress(ConnectionClosed):
            while True:
                got.append((await receive(ws))["event_id"])
        assert await close_code(ws) == (4002, "too_slow")
    seen = [int(id_.split(":")[3]) for id_ in got]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < written
    async with gate.ws(f"{SOCKET}&last_event_id={got[-1]}", token) as ws:
        assert (await receive(ws))["type"] == "session_ready"
        for n in range(len(seen) + 1, written + 1):
            assert (await receive(ws))["event_id"] == f"chunk-0:10:0:{n}"
    await gate.idle()
