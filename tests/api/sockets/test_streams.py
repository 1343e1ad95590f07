"""Framing and endings of event streams and sockets, with views made up here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from starlette.websockets import WebSocket

from api.accounts.auth import Session
from api.sockets.connections import Connection, Connections
from api.sockets.socket import Socket, pump
from api.sockets.sse import SseResponse
from api.sockets.streams import Batch
from streaming.connect import connect
from streaming.entry import notice
from streaming.gap_detector import Item
from streaming.hub import Hub, HubUnavailable
from streaming.subscriber_queue import Closed, Overflowed, SubscriberQueue
from tests.streaming.writer import delta


class Nobody:
    async def still_alive(self, jtis: list[str]) -> set[str]:
        return set(jtis)


class MadeUp:
    """A view that shows what it is told to, then raises or ends."""

    def __init__(self, *batches: Batch, then: BaseException | None = None) -> None:
        self.queue = SubscriberQueue()
        self.batches = batches
        self.then = then
        self.closed = False

    def at_once(self, item: Item) -> None:
        return None

    async def events(self) -> AsyncGenerator[Batch, None]:
        try:
            for batch in self.batches:
                yield batch
            if self.then is not None:
                raise self.then
        finally:
            self.closed = True


@pytest.fixture
def registry() -> Connections:
    return Connections(Hub(connect("redis://127.0.0.1:1")), Nobody())


def slot(registry: Connections, view: MadeUp) -> Connection:
    session = Session("jti_1", "spectator", "acc_1", None, None, "", 2_000_000_000)
    return registry.open("spectator_sse", session, view.queue)


def shown(tick: int) -> Batch:
    entry = delta("chunk-0", (tick, 0), (tick - 1, 0))
    return [(entry, entry.event_id)]


class Asgi:
    """The server's side of one request."""

    def __init__(self, scope: dict[str, Any] | None = None) -> None:
        self.scope = scope or {"type": "http", "method": "GET"}
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.blocked: asyncio.Event | None = None

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))
        if self.blocked is not None:
            await self.blocked.wait()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def test_blocks_are_sent_as_they_are_and_the_stream_ends(registry: Connections) -> None:
    view, asgi = MadeUp(shown(1), [], [*shown(2), (notice("heartbeat", {"tick": 2}, 5, "t-1"), None)]), Asgi()
    await SseResponse(view, slot(registry, view))(asgi.scope, asgi.receive, asgi.send)
    head, *_, last = asgi.sent
    headers = {name.decode(): value.decode() for name, value in head["headers"]}
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-accel-buffering"] == "no"
    assert asgi.body.startswith(b"retry: ")
    ids = [line for line in asgi.body.split(b"\n") if line.startswith(b"id: ")]
    assert ids == [b"id: chunk-0:1:0", b"id: chunk-0:2:0"]
    assert not any(message["body"] == b"" for message in asgi.sent[1:-1])
    assert last == {"type": "http.response.body", "body": b"", "more_body": False}
    assert view.closed
    assert len(registry) == 0


@pytest.mark.parametrize(
    "trouble", [Closed(1012, "draining"), Overflowed(), HubUnavailable("x"), RedisConnectionError(), TimeoutError()]
)
async def test_however_it_ends_the_client_is_told_when_to_come_back(
    registry: Connections, trouble: BaseException
) -> None:
    view, asgi = MadeUp(shown(1), then=trouble), Asgi()
    await SseResponse(view, slot(registry, view))(asgi.scope, asgi.receive, asgi.send)
    assert asgi.body.count(b"retry: ") == 2
    assert asgi.sent[-1]["more_body"] is False
    assert len(registry) == 0


async def test_a_client_that_goes_away_closes_the_view(registry: Connections) -> None:
    class Waiting(MadeUp):
        async def events(self) -> AsyncGenerator[Batch, None]:
            try:
                while True:
                    await self.queue.take()
                    yield []
            finally:
                self.closed = True

    view, asgi = Waiting(), Asgi()
    serving = asyncio.create_task(SseResponse(view, slot(registry, view))(asgi.scope, asgi.receive, asgi.send))
    await asyncio.sleep(0.01)
    assert len(registry) == 1
    asgi.gone.set()
    await asyncio.wait_for(serving, 5)
    assert view.closed
    assert len(registry) == 0


async def test_one_that_is_stuck_in_sending_is_cut_off(registry: Connections) -> None:
    view, asgi = MadeUp(shown(1), shown(2)), Asgi()
    connection = slot(registry, view)
    asgi.blocked = asyncio.Event()
    serving = asyncio.create_task(SseResponse(view, connection)(asgi.scope, asgi.receive, asgi.send))
    await asyncio.sleep(0.01)
    connection.cut_off()
    await asyncio.wait_for(serving, 5)
    assert len(registry) == 0


async def test_a_head_request_opens_nothing(registry: Connections) -> None:
    view, asgi = MadeUp(shown(1)), Asgi({"type": "http", "method": "HEAD"})
    await SseResponse(view, slot(registry, view))(asgi.scope, asgi.receive, asgi.send)
    assert asgi.body == b""
    assert len(registry) == 0


class Writer:
    """What the server offers to write frames with."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.buffered = 0
        self.open = True

    def takes(self, most: int) -> bool:
        return self.open and self.buffered <= most

    def push(self, data: bytes) -> None:
        self.frames.append(data)

    @property
    def texts(self) -> list[bytes]:
        """What is in the frames, which are all of medium length."""
        assert all(frame[:2] == b"\x81~" for frame in self.frames)
        return [frame[4:] for frame in self.frames]


def accepted(asgi: Asgi, writer: Writer | None) -> WebSocket:
    extensions = {} if writer is None else {"chunkcrawl.frames": writer}
    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "extensions": extensions}
    websocket = WebSocket(scope, asgi.receive, asgi.send)
    websocket.application_state = websocket.client_state = type(websocket.client_state).CONNECTED
    return websocket


@pytest.mark.parametrize("with_writer", [True, False])
@pytest.mark.parametrize(
    ("trouble", "code", "reason"),
    [
        (None, 1000, "chunk_closed"),
        (Closed(4001, "taken_over"), 4001, "taken_over"),
        (Overflowed(), 4002, "too_slow"),
        (HubUnavailable("x"), 1013, "unavailable"),
        (ValueError("a bug"), 1011, "internal_error"),
    ],
)
async def test_a_socket_says_by_its_code_why_it_closes(
    registry: Connections, with_writer: bool, trouble: BaseException | None, code: int, reason: str
) -> None:
    view, asgi, writer = MadeUp(shown(1), shown(2), then=trouble), Asgi(), Writer() if with_writer else None
    sent: list[int] = []
    socket = Socket(accepted(asgi, writer), view.queue)
    await pump(socket, view, slot(registry, view), lambda batch: sent.append(len(batch)))
    frames = writer.texts if writer is not None else [m["text"] for m in asgi.sent if m["type"] == "websocket.send"]
    assert [json.loads(frame)["event_id"] for frame in frames] == ["chunk-0:1:0", "chunk-0:2:0"]
    assert sent == [1, 1]
    assert asgi.sent[-1] == {"type": "websocket.close", "code": code, "reason": reason}
    assert view.closed


async def test_a_socket_waits_for_a_peer_that_does_not_read_and_still_hears_of_its_end(registry: Connections) -> None:
    view, asgi, writer = MadeUp(shown(1), shown(2)), Asgi(), Writer()
    writer.buffered = 10**6
    pumping = asyncio.create_task(pump(Socket(accepted(asgi, writer), view.queue), view, slot(registry, view)))
    await asyncio.sleep(0.05)
    assert writer.frames == []
    view.queue.close(4002, "too_slow")
    await asyncio.wait_for(pumping, 5)
    assert asgi.sent[-1]["code"] == 4002
    writer.buffered = 0
