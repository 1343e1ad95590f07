"""Spectators over SSE and WebSocket, through a gateway that listens."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest
from redis.asyncio import Redis

from api.sockets.direct import Direct
from config.settings import Settings
from streaming import keys
from streaming.entry import INTERNAL_KINDS, PRIVATE_KINDS
from streaming.gap_detector import Item
from streaming.subscriber_queue import WATCHER_CAPACITY
from tests.api.gates import DEADLINE_S, Gate, SseReader, close_code, receive, receive_until, running
from tests.api.support import FakeWorld
from tests.streaming.writer import ChunkWriter, message

STREAM = "/v1/spectate/stream?chunk_id=chunk-0"
SOCKET = "/v1/spectate/ws?chunk_id=chunk-0"


@pytest.fixture
async def chunk(redis: Redis) -> ChunkWriter:
    chunk = ChunkWriter(redis)
    await chunk.create()
    for _ in range(3):
        await chunk.tick()
    return chunk


async def test_the_start_and_the_headers(gate: Gate, chunk: ChunkWriter) -> None:
    headers = {"accept-encoding": "gzip", "x-trace-id": "t-mine"}
    async with gate.sse(STREAM, await gate.token("spectator"), **headers) as reader:
        response = reader.response
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "no-cache" in response.headers["cache-control"]
        assert "no-transform" in response.headers["cache-control"]
        assert response.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in response.headers
        ready, static, delta = await reader.take(3)
        assert [ready.kind, static.kind, delta.kind] == ["session_ready", "chunk_static", "chunk_delta"]
        assert ready.data["role"] == "spectator"
        assert ready.data["trace_id"] == response.headers["x-trace-id"] == "t-mine"
        assert all(event.data["trace_id"] for event in (static, delta))
        assert ready.data["chunk_id"] == "chunk-0"
        assert ready.data["channel_id"]
        assert (ready.id, static.id, delta.id) == (None, None, "chunk-0:3:0")
        assert delta.data["type"] == "chunk_delta"
        assert delta.data["tick"] == 3
        assert reader.retries
        assert 1_000 <= reader.retries[0] < 4_000
        await chunk.tick()
        (live,) = await reader.take(1)
        assert live.id == "chunk-0:4:0"
    await gate.idle()


@pytest.mark.parametrize("path", ["/v1/spectate/stream?chunk_id=demo", "/api/v1/spectate/stream?chunk_id=chunk-0"])
async def test_other_names_of_it(gate: Gate, chunk: ChunkWriter, path: str) -> None:
    async with gate.sse(path, "test-spectator-token") as reader:
        events = await reader.take(3)
        assert events[0].data["chunk_id"] == "chunk-0"


async def test_resuming_by_header_and_by_query(gate: Gate, chunk: ChunkWriter) -> None:
    token = await gate.token("spectator")
    async with gate.sse(STREAM, token, last_event_id="chunk-0:1:0") as reader:
        assert [event.id for event in await reader.take(3)] == [None, "chunk-0:2:0", "chunk-0:3:0"]
    async with gate.sse(STREAM + "&last_event_id=chunk-0:2:0", token) as reader:
        assert [event.id for event in await reader.take(2)] == [None, "chunk-0:3:0"]
    async with gate.sse(STREAM, token, last_event_id="chunk-0:77:0") as reader:
        kinds = [event.kind for event in await reader.take(4)]
        assert kinds == ["session_ready", "resync_required", "chunk_static", "chunk_delta"]
    async with gate.ws(SOCKET + "&last_event_id=chunk-0:2:0", token) as ws:
        messages = [await receive(ws) for _ in range(2)]
        assert [message.get("event_id") for message in messages] == [None, "chunk-0:3:0"]


async def test_who_may_not(gate: Gate, chunk: ChunkWriter) -> None:
    agent = await gate.token("agent", "ada")
    owner = await gate.token("owner_spectator", "ada")
    spectator = await gate.token("spectator")
    cases = [
        ("none", STREAM, SOCKET, 401, "invalid_session"),
        ("sess_" + "0" * 43, STREAM, SOCKET, 401, "invalid_session"),
        (agent, STREAM, SOCKET, 403, "invalid_scope"),
        (owner, STREAM, SOCKET, 403, "invalid_scope"),
        (spectator, STREAM.replace("-0", "-9"), SOCKET.replace("-0", "-9"), 404, "chunk_not_found"),
        (spectator, STREAM + "%00", SOCKET + "%0d%0a", 404, "chunk_not_found"),
        (spectator, STREAM[:-7] + "c" * 65, SOCKET[:-7] + "c" * 65, 422, "invalid_request"),
        (spectator, "/v1/spectate/stream", "/v1/spectate/ws", 422, "invalid_request"),
    ]
    for token, stream, ws, status, reason in cases:
        async with gate.sse(stream, token) as reader:
            body = json.loads(await reader.response.aread())
            assert (reader.response.status_code, body["detail"]) == (status, reason), stream
        assert await gate.denied(ws, token) == (status, reason), ws
    assert len(gate.streams.connections) == 0


@pytest.mark.parametrize("kind", ["sse", "ws"])
async def test_what_moves_is_written_without_the_readers_task(
    gate: Gate, chunk: ChunkWriter, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    written: list[bool] = []
    original = Direct.__call__

    def counted(direct: Direct, item: Item) -> bool:
        written.append(original(direct, item))
        return written[-1]

    monkeypatch.setattr(Direct, "__call__", counted)
    token = await gate.token("spectator")
    async with gate.sse(STREAM, token) if kind == "sse" else gate.ws(SOCKET, token) as reader:
        ids: list[str | None] = []
        for tick in range(3, 23):
            while f"chunk-0:{tick}:0" not in ids:
                if isinstance(reader, SseReader):
                    ids += [event.id for event in await reader.take(1)]
                else:
                    ids.append((await receive(reader)).get("event_id"))
            await chunk.tick()
    assert ids == [None, None, *(f"chunk-0:{tick}:0" for tick in range(3, 23))]
    assert sum(written) >= 18
    await gate.idle()


async def test_the_socket_sends_the_same_events_in_its_envelope(gate: Gate, chunk: ChunkWriter) -> None:
    async with gate.ws(SOCKET, await gate.token("spectator")) as ws:
        ready, static, delta = [await receive(ws) for _ in range(3)]
        assert [ready["type"], static["type"], delta["type"]] == ["session_ready", "chunk_static", "chunk_delta"]
        assert delta["event_id"] == "chunk-0:3:0"
        assert delta["payload"]["tick"] == 3
        assert set(delta) == {"type", "event_id", "trace_id", "server_ts_ms", "payload"}
        await chunk.tick()
        assert (await receive(ws))["event_id"] == "chunk-0:4:0"
    await gate.idle()


async def test_a_browsers_socket_offers_its_token_as_a_subprotocol(gate: Gate, chunk: ChunkWriter) -> None:
    from websockets.asyncio.client import connect

    token = await gate.token("spectator")
    url = f"ws://127.0.0.1:{gate.port}{SOCKET}"
    async with connect(url, subprotocols=["bearer", token]) as ws:  # type: ignore[list-item]
        assert ws.subprotocol == "bearer"
        assert (await receive(ws))["type"] == "session_ready"


@pytest.mark.parametrize("said", ["{}", '{"type":"ping"}', '{"type":"command_req","payload":{}}', b"\x00", ""])
async def test_whatever_is_sent_closes_the_socket(gate: Gate, chunk: ChunkWriter, said: str | bytes) -> None:
    async with gate.ws(SOCKET, await gate.token("spectator")) as ws:
        await receive_until(ws, "chunk_delta")
        await ws.send(said)
        assert await close_code(ws) == (1008, "read_only")
    await gate.idle()


async def test_heartbeats(settings: Settings, world: FakeWorld, chunk: ChunkWriter) -> None:
    async with running(settings.model_copy(update={"heartbeat_s": 1}), world) as gate:
        token = await gate.token("spectator")
        async with gate.sse(STREAM, token) as reader, gate.ws(SOCKET, token) as ws:
            beat = (await reader.until("heartbeat"))[-1]
            assert beat.id is None
            assert beat.data["chunk_id"] == "chunk-0"
            assert (await receive_until(ws, "heartbeat"))[-1]["payload"]["tick"] == 3
            await reader.until("heartbeat")


async def test_a_closed_chunk_is_told_and_ends_the_stream(gate: Gate, chunk: ChunkWriter) -> None:
    token = await gate.token("spectator")
    async with gate.sse(STREAM, token) as reader, gate.ws(SOCKET, token) as ws:
        await reader.take(3)
        await receive_until(ws, "chunk_delta")
        await chunk.close()
        assert (await reader.until("chunk_closed"))[-1].id == "chunk-0:4:0"
        assert await reader.next() is None
        await receive_until(ws, "chunk_closed")
        assert await close_code(ws) == (1000, "chunk_closed")
    async with gate.sse(STREAM, token) as reader:
        assert reader.response.status_code == 404
    await gate.idle()


@pytest.mark.parametrize("kind", sorted(PRIVATE_KINDS | INTERNAL_KINDS))
async def test_no_private_event_reaches_a_spectator(gate: Gate, chunk: ChunkWriter, redis: Redis, kind: str) -> None:
    token = await gate.token("spectator")
    payload = {"agent_id": "ada", "inventory": {"gold": 7}}
    async with gate.sse(STREAM, token) as reader, gate.ws(SOCKET, token) as ws:
        await reader.take(3)
        await receive_until(ws, "chunk_delta")
        await redis.publish("stream:agent:ada", b"1-0 " + message((0, 0), kind, payload))
        # Even one that a bug wrote into the chunk's own stream.
        await redis.publish(chunk.key, b"4-0 " + message((3, 0), kind, payload))
        await chunk.tick()
        assert [event.kind for event in await reader.take(1)] == ["chunk_delta"]
        assert (await receive(ws))["type"] == "chunk_delta"
    assert gate.streams.hub.bad_entries == 1


async def test_what_a_stranger_says_stays_one_event(gate: Gate, chunk: ChunkWriter) -> None:
    texts = ["a\u2028b", "a\u2029b", "a\u0085b", "a\rb", "a\nb", "x\n\nevent: resync_required\ndata: {}\n\n"]
    async with gate.sse(STREAM, await gate.token("spectator")) as reader:
        await reader.take(3)
        for text in texts:
            at = (chunk.last[0] + 1, 0)
            chat = {"type": "chat", "from": "ada", "text": text}
            await chunk.add(at, "chunk_delta", {"chunk_id": "chunk-0", "tick": at[0], "events": [chat]})
            (event,) = await reader.take(1)
            assert event.kind == "chunk_delta"
            assert event.data["events"][0]["text"] == text


async def test_clients_that_go_away_early_leave_nothing(
    gate: Gate, chunk: ChunkWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    token = await gate.token("spectator")
    async with gate.sse(STREAM, token) as reader:
        await reader.take(3)
    await gate.idle()
    tasks = len(asyncio.all_tasks())
    requests = [
        f"GET {STREAM} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n",
        f"GET {SOCKET} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ]
    for round_ in range(300):
        _, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(requests[round_ % 2].encode())
        await asyncio.sleep(0.001 * (round_ % 31) / 4)
        writer.transport.abort()
    await gate.idle()
    async with asyncio.timeout(DEADLINE_S):
        while len(asyncio.all_tasks()) > tasks + 2:
            await asyncio.sleep(0.02)
    async with gate.sse(STREAM, token) as reader:
        assert len(await reader.take(3)) == 3
    assert "error" not in capsys.readouterr().out


class Stopped:
    """A reader whose kernel buffers are small and who does not read until told."""

    def __init__(self, gate: Gate, path: str, token: str) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        self.raw = socket.socket()
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.raw.connect(("127.0.0.1", gate.port))
        self.raw.sendall(self.request)
        self.raw.setblocking(False)


async def test_a_reader_that_stops_reading_is_bounded_and_then_resynced(gate: Gate, chunk: ChunkWriter) -> None:
    stopped = Stopped(gate, STREAM, await gate.token("spectator"))
    while not len(gate.streams.connections):
        await asyncio.sleep(0.01)
    (connection,) = gate.streams.connections._slot_of
    filler = "x" * 60_000
    async with gate.sse(STREAM, await gate.token("spectator")) as good:
        await good.take(3)
        ticks = 0
        while connection.queue.dropped == 0:
            at = (chunk.last[0] + 1, 0)
            await chunk.add(at, "chunk_delta", {"chunk_id": "chunk-0", "tick": at[0], "filler": filler})
            ticks += 1
            (event,) = await good.take(1)  # the one who reads gets each
            assert event.id == f"chunk-0:{at[0]}:0"
            assert len(connection.queue) <= WATCHER_CAPACITY
            assert ticks < 2_000
    loop, got = asyncio.get_running_loop(), b""
    async with asyncio.timeout(DEADLINE_S):
        while b"event: resync_required" not in got:
            got += await loop.sock_recv(stopped.raw, 1 << 20)
        after = got.index(b"event: resync_required")
        while b"event: chunk_delta" not in got[after:]:
            got += await loop.sock_recv(stopped.raw, 1 << 20)
    assert b"event: chunk_static" in got[after:]
    stopped.raw.close()
    await gate.idle()


class TestClosingFromHere:
    @staticmethod
    async def end_of(reader: SseReader) -> None:
        while (await reader.next()) is not None:
            pass

    async def test_a_revoked_session_loses_its_streams_and_sockets(self, gate: Gate, chunk: ChunkWriter) -> None:
        opened, other = await gate.session("spectator"), await gate.token("spectator")
        async with (
            gate.sse(STREAM, opened.token) as reader,
            gate.ws(SOCKET, opened.token) as ws,
            gate.sse(STREAM, other) as kept,
        ):
            await reader.take(3)
            await kept.take(3)
            await receive_until(ws, "chunk_delta")
            await gate.services.redis.delete(keys.session_by_jti(opened.session.jti))
            await gate.services.redis.publish("ctl:sessions", f"jti {opened.session.jti}")
            async with asyncio.timeout(5):
                await self.end_of(reader)
                assert await close_code(ws) == (1008, "invalid_session")
            await chunk.tick()
            assert (await kept.take(1))[0].id == "chunk-0:4:0"

    async def test_so_does_everything_of_a_revoked_key(self, gate: Gate, chunk: ChunkWriter) -> None:
        opened = await gate.session("spectator", key_id="key_9")
        async with gate.sse(STREAM, opened.token) as reader:
            await reader.take(3)
            await gate.services.redis.publish("ctl:sessions", "key key_9")
            async with asyncio.timeout(5):
                await self.end_of(reader)

    async def test_an_expired_session_is_noticed_without_a_message(self, gate: Gate, chunk: ChunkWriter) -> None:
        opened = await gate.session("spectator")
        async with gate.sse(STREAM, opened.token) as reader:
            await reader.take(3)
            await gate.services.redis.delete(keys.session_by_jti(opened.session.jti))
            async with asyncio.timeout(5):
                await self.end_of(reader)

    async def test_draining_sends_readers_away_and_refuses_new_ones(self, gate: Gate, chunk: ChunkWriter) -> None:
        token = await gate.token("spectator")
        async with gate.sse(STREAM, token) as reader, gate.ws(SOCKET, token) as ws:
            await reader.take(3)
            await receive_until(ws, "chunk_delta")
            draining = asyncio.create_task(gate.streams.drain(0.2))
            await asyncio.sleep(0)
            async with gate.sse(STREAM, token) as late:
                assert late.response.status_code == 503
                assert late.response.headers["retry-after"]
            assert await gate.denied(SOCKET, token) == (503, "draining")
            await self.end_of(reader)
            assert len(reader.retries) == 2
            assert await close_code(ws) == (1012, "draining")
            await asyncio.wait_for(draining, DEADLINE_S)
        await gate.idle()

    async def test_without_redis_readers_are_told_to_come_back(self, gate: Gate, chunk: ChunkWriter) -> None:
        await gate.streams.hub.close()
        gate.streams.hub.ready_timeout_s = 0.2
        async with gate.sse(STREAM, await gate.token("spectator")) as reader:
            await self.end_of(reader)
            assert reader.retries
