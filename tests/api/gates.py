"""A gateway that listens, and clients of its streams and sockets, for tests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.accounts.auth import Role
from api.accounts.sessions import OpenedSession
from api.app import create_app
from api.operator.port import Operating
from api.ports import World
from api.services import Services
from api.sockets.connection_limits import Admission, AdmissionRules
from api.sockets.frame_protocol import FrameProtocol
from api.sockets.mount import mount
from api.sockets.server import AcceptingServer
from api.sockets.streams import Streams
from cluster.hosted.endpoint import ModelEndpoint
from cluster.hosted.mount import mount_models
from config.settings import Settings

DEADLINE_S = 10.0
PLENTY = AdmissionRules(connections=20_000, address_waiting=2_048, receive_s=60, answer_s=60)


class Gate:
    """A running gateway."""

    def __init__(self, services: Services, streams: Streams, models: ModelEndpoint, port: int) -> None:
        self.services = services
        self.models = models
        self.streams = streams
        self.port = port
        self.base = f"http://127.0.0.1:{port}"

    async def session(
        self, role: Role, agent_id: str | None = None, *, key_id: str | None = None, account_id: str = "acc_1"
    ) -> OpenedSession:
        return await self.services.sessions.open(
            role=role,
            account_id=account_id,
            agent_id=agent_id,
            key_id=key_id,
            key_expires_at=None,
            now_s=self.services.now_s(),
        )

    async def token(self, role: Role, agent_id: str | None = None) -> str:
        return (await self.session(role, agent_id)).token

    @asynccontextmanager
    async def sse(
        self, path: str, token: str, *, last_event_id: str | None = None, **headers: str
    ) -> AsyncIterator[SseReader]:
        """An open event stream."""
        sent = {"authorization": f"Bearer {token}", **headers}
        if last_event_id is not None:
            sent["last-event-id"] = last_event_id
        timeout = httpx.Timeout(DEADLINE_S)
        async with (
            httpx.AsyncClient(base_url=self.base, timeout=timeout) as client,
            client.stream("GET", path, headers=sent) as response,
        ):
            yield SseReader(response)

    def ws(self, path: str, token: str, **options: Any) -> connect:
        """A WebSocket to ``path``, for ``async with``."""
        headers = {"authorization": f"Bearer {token}"}
        return connect(
            f"ws://127.0.0.1:{self.port}{path}", additional_headers=headers, compression=None, max_size=None, **options
        )

    async def denied(self, path: str, token: str, **options: Any) -> tuple[int, str]:
        """Status and reason of a refused handshake."""
        try:
            async with self.ws(path, token, **options):
                raise AssertionError("the handshake was accepted")
        except InvalidStatus as refused:
            return refused.response.status_code, json.loads(refused.response.body or b"{}")["detail"]

    async def idle(self) -> None:
        """Wait until nobody is connected and nothing is followed but the two control channels."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.streams.connections) or len(self.streams.seats) or self.streams.hub.channel_count > 2:
                await asyncio.sleep(0.01)


class SseEvent:
    """One event as a client sees it."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        found = dict(fields)
        self.id = found.get("id")
        self.kind = found.get("event", "message")
        self.retry = found.get("retry")
        self.data: dict[str, Any] = json.loads(found["data"]) if "data" in found else {}

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id}>"


class SseReader:
    """Takes events off a response, as the specification says: lines end with CR, LF or CRLF only."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._bytes = response.aiter_raw() if response.status_code == 200 else None
        self._rest = b""
        self.retries: list[int] = []

    async def next(self) -> SseEvent | None:
        """The next event; None at the end of the stream."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                block, separator, rest = self._rest.partition(b"\n\n")
                if separator:
                    self._rest = rest
                    event = self._event(block)
                    if event.data:
                        return event
                    continue
                assert self._bytes is not None
                try:
                    self._rest += await anext(self._bytes)
                except StopAsyncIteration:
                    return None

    async def take(self, count: int) -> list[SseEvent]:
        events = [await self.next() for _ in range(count)]
        assert None not in events
        return [event for event in events if event is not None]

    async def until(self, kind: str) -> list[SseEvent]:
        """Events up to the first of ``kind``, that one included."""
        events: list[SseEvent] = []
        while not events or events[-1].kind != kind:
            event = await self.next()
            assert event is not None, f"the stream ended before {kind}: {events}"
            events.append(event)
        return events

    def _event(self, block: bytes) -> SseEvent:
        lines = [line.partition(":") for line in block.decode().split("\n") if not line.startswith(":")]
        event = SseEvent([(name, value.removeprefix(" ")) for name, _, value in lines])
        if event.retry is not None:
            self.retries.append(int(event.retry))
        return event


async def receive(ws: ClientConnection) -> dict[str, Any]:
    """The next message."""
    async with asyncio.timeout(DEADLINE_S):
        message: dict[str, Any] = json.loads(await ws.recv())
        return message


async def receive_until(ws: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Messages up to the first of ``kind``, that one included."""
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] != kind:
        messages.append(await receive(ws))
    return messages


async def close_code(ws: ClientConnection) -> tuple[int, str]:
    """Read on until the peer closes; its code and reason."""
    async with asyncio.timeout(DEADLINE_S):
        with suppress(ConnectionClosed):
            while True:
                await ws.recv()
    assert ws.protocol.close_rcvd is not None, "cut off without a close frame"
    return ws.protocol.close_rcvd.code, ws.protocol.close_rcvd.reason


@asynccontextmanager
async def running(
    settings: Settings, world: World, operating: Operating | None = None, /, **uvicorn_options: Any
) -> AsyncIterator[Gate]:
    """A gateway's app over ``world``, behind uvicorn on a free port, as ``cluster.gateway`` runs it."""
    services = Services.build(settings, world, operating=operating)
    app = create_app(services)
    streams = mount(app, services)
    models = mount_models(app, services)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        ws=FrameProtocol,
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=2,
        **uvicorn_options,
    )
    server = AcceptingServer(config, Admission(PLENTY))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            assert not serving.done(), serving
            await asyncio.sleep(0.01)
        await asyncio.wait_for(streams.hub.connected.wait(), DEADLINE_S)
        yield Gate(services, streams, models, listening.getsockname()[1])
    finally:
        server.should_exit = True
        await serving
        listening.close()
