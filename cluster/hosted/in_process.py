"""A gateway's own app, for an SDK agent of the same process: HTTP and the agent's socket without a network between.

The app sees what it would see of a client at the model's address, so limits, moderation, challenges and connection
rules are those of everybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp, Message, Scope
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Response

from chunkcrawl.transport.http import Api

__all__ = ["BASE", "InProcessSocket", "ModelPeer", "in_process_api", "open_socket"]

BASE: Final = "http://in-process"
#: What waits for the agent before the app's ``send`` waits, as a full socket buffer would let it.
WAITING_MAX: Final = 64
ABNORMAL: Final = 1006
NORMAL: Final = 1000


class ModelPeer:
    """Whose address a request counts as: that of the model's connection."""

    def __init__(self, scope: Scope) -> None:
        self.client: tuple[str, int] = tuple(scope.get("client") or ("127.0.0.1", 0))
        self.forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]


def in_process_api(app: ASGIApp, peer: ModelPeer) -> Api:
    """Return an HTTP client of the SDK whose requests end in ``app``."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=peer.client)
    headers = [(b"x-forwarded-for", value) for value in peer.forwarded]
    return Api(BASE, http=httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers))


async def open_socket(app: ASGIApp, peer: ModelPeer, url: str, headers: dict[str, str]) -> InProcessSocket:
    """Open a WebSocket that ends in ``app``, and return it once it is accepted.

    Raises:
        InvalidStatus: it was refused, with the answer that a client would have had.
    """
    parts = urlsplit(url)
    raw = [(b"host", b"in-process"), *((b"x-forwarded-for", value) for value in peer.forwarded)]
    raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": raw,
        "client": peer.client,
        "server": ("in-process", None),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    socket = InProcessSocket(app, scope)
    try:
        await socket.opened()
    except BaseException:
        socket.abort()
        raise
    return socket


class InProcessSocket:
    """The client's end, with what ``chunkcrawl.transport.connection`` uses of a socket of ``websockets``."""

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._to_app: asyncio.Queue[Message] = asyncio.Queue(WAITING_MAX)
        self._to_client: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._accepted = False
        self._refusal: list[Any] = [0, [], b""]
        self._to_app.put_nowait({"type": "websocket.connect"})
        self._serving = asyncio.get_running_loop().create_task(self._serve(app, scope), name="in-process socket")

    @property
    def transport(self) -> InProcessSocket:
        """What has ``abort``."""
        return self

    async def opened(self) -> None:
        """Wait until the app has accepted it.  Raises ``InvalidStatus``."""
        while not self._accepted and self.close_code is None:
            self._changed.clear()
            await self._changed.wait()
        if not self._accepted:
            status, headers, body = self._refusal
            pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
            raise InvalidStatus(Response(status or 503, "", Headers(pairs), body))

    async def recv(self, decode: bool = False) -> bytes:
        """Return the next message.  Raises ``ConnectionClosedError`` at the end."""
        del decode  # the SDK wants bytes
        while not self._to_client:
            if self.close_code is not None:
                raise ConnectionClosedError(None, None)
            self._changed.clear()
            await self._changed.wait()
        message = self._to_client.popleft()
        self._room.set()
        return message

    async def send(self, text: str) -> None:
        """Send a message.  Raises ``ConnectionClosedError`` when it is closed."""
        if self.close_code is not None:
            raise ConnectionClosedError(None, None)
        await self._to_app.put({"type": "websocket.receive", "text": text})

    async def close(self) -> None:
        """Close in order, and wait for the app's end of it."""
        self._leave(NORMAL)
        await asyncio.wait({self._serving})

    def abort(self) -> None:
        """Cut it without a word."""
        self._leave(ABNORMAL)

    def _leave(self, code: int) -> None:
        self._closed(code, "")
        try:
            self._to_app.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        except asyncio.QueueFull:
            self._serving.cancel()

    # -- the app's end --

    async def _serve(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._to_app.get, self._take)
        finally:
            self._closed(ABNORMAL, "")

    async def _take(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                self._accepted = True
            case "websocket.send":
                while len(self._to_client) >= WAITING_MAX and self.close_code is None:
                    self._room.clear()
                    await self._room.wait()
                text = message.get("text")
                self._to_client.append(text.encode() if text is not None else message["bytes"])
            case "websocket.close":
                self._closed(message.get("code", NORMAL), message.get("reason") or "")
            case "websocket.http.response.start":
                self._refusal[:2] = [message["status"], list(message.get("headers", ()))]
            case "websocket.http.response.body":
                self._refusal[2] += message.get("body", b"")
                if not message.get("more_body"):
                    self._closed(ABNORMAL, "")
        self._changed.set()

    def _closed(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
        self._changed.set()
        self._room.set()
