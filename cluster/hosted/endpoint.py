"""``/mcp``: who may come in, and which session a request belongs to; what answers it is loaded with the first one.

    Authorization: Bearer dcw_...     an API key, at each request
    Mcp-Session-Id                    given by the answer to ``initialize``; clients of a protocol without sessions have
                                      one for their key

The transport itself is stateless: any gateway answers any request, and finds the session in Redis
(docs/decisions/0034-hosted-mcp.md).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from api.accounts.auth import bearer_token
from api.errors import ApiError
from api.services import Services
from api.sockets.sse import ENTER_EXTENSION
from api.sockets.streams import Streams
from store.api_keys import KeyProof
from streaming.hub import HubUnavailable

if TYPE_CHECKING:
    from cluster.hosted.server import ModelServer

__all__ = ["PATH", "ModelEndpoint"]

log = structlog.get_logger(__name__)

PATH: Final = "/mcp"
SESSION_HEADER: Final = "mcp-session-id"
SESSION_MAX_CHARS: Final = 64
REQUEST_ID_MAX_CHARS: Final = 128
#: How long the end of the library's own tasks may take.
CLOSE_S: Final = 2.0

REMEDIES: Final = {
    "invalid_api_key": "send the header `Authorization: Bearer dcw_...`; `chunkcrawl key create` makes a key",
    "not_local": "name the page's origin in CHUNKCRAWL_CORS_ORIGINS",
    "session_not_found": "it has expired or was ended: initialize anew",
    "method_not_allowed": "send requests by POST; nothing is told beside their answers",
    "overloaded": "too many models play here; try again in a minute",
}


class _Head(msgspec.Struct):
    """What is looked at of a JSON-RPC message."""

    method: str = ""
    params: dict[str, Any] | None = None


class ModelEndpoint:
    """The ASGI app of ``/mcp``.  ``close`` it before the parts that it uses."""

    #: What logs and metrics call it (``api.middleware``), as they call a route of the framework.
    path: Final = PATH

    def __init__(self, app: Any, services: Services, streams: Streams) -> None:
        self._app = app
        self._services = services
        self._streams = streams
        self._loading = asyncio.Lock()
        self._server: ModelServer | None = None
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        scope["route"] = self
        request = Request(scope, receive)
        try:
            await self._answer(request, scope, receive, send)
        except ApiError as error:
            body = {"detail": error.reason} | _remedy(error.reason)
            await JSONResponse(body, status_code=error.status_code, headers=error.headers)(scope, receive, send)

    @property
    def players(self) -> int:
        """How many agents are played here."""
        return len(self._server.players) if self._server is not None else 0

    async def drain(self) -> None:
        """Refuse new requests, answer what is under way, and let the agents go."""
        self._closed = True
        if self._server is not None:
            await self._server.players.drain()

    async def close(self) -> None:
        """End everything."""
        await self.drain()
        if self._server is not None and self._running is not None:
            await self._server.players.close()
            self._stop.set()
            await asyncio.wait({self._running}, timeout=CLOSE_S)
            self._running.cancel()

    # -- letting in --

    async def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        if self._closed or self._services.draining:
            raise ApiError("draining")
        self._services.local_only.check_origin(request)
        plain = bearer_token(request.headers.get("authorization")) or ""
        if not plain:
            raise ApiError("invalid_api_key")
        key = await self._services.limits.prove_key(self._services.key_ring, request, plain)
        await self._services.bans.check(key.account_id, None)
        if request.method not in ("POST", "DELETE"):
            raise ApiError("method_not_allowed")
        await self._services.limits.model_call(key.account_id)
        server = await self._loaded()
        session_id = request.headers.get(SESSION_HEADER)
        if session_id is not None and len(session_id) > SESSION_MAX_CHARS:
            raise ApiError("session_not_found")
        if request.method == "DELETE":
            if session_id is None or not await server.players.end(session_id, key.account_id):
                raise ApiError("session_not_found")
            await Response(status_code=204)(scope, receive, send)
            return
        body = await request.body()
        head = _head_of(body)
        named = await self._session(server, session_id, head.method, key)
        if head.method == "notifications/cancelled":
            await server.players.cancel(named, str((head.params or {}).get("requestId", ""))[:REQUEST_ID_MAX_CHARS])
        from cluster.hosted.in_process import ModelPeer
        from cluster.hosted.players import ModelCaller
        from cluster.hosted.server import CALLER

        scope.setdefault("state", {})[CALLER] = ModelCaller(named, key.account_id, key.key_id, plain, ModelPeer(scope))
        enter = (scope.get("extensions") or {}).get(ENTER_EXTENSION)
        if head.method == "tools/call" and enter is not None and not enter():
            raise ApiError("overloaded")
        given = named if head.method == "initialize" else None
        await server.manager.handle_request(scope, _replayed(body, receive), _with_session(send, given))

    async def _session(self, server: ModelServer, session_id: str | None, method: str, key: KeyProof) -> str:
        """Return the session of a request: a new one for ``initialize``, the one it names, or that of its key."""
        from cluster.hosted.sessions import new_session_id

        if method == "initialize":
            session_id = new_session_id()
        elif session_id is None:
            session_id = f"mcp_{key.key_id}"
        else:
            if await server.sessions.use(session_id, key.account_id) is None:
                raise ApiError("session_not_found")
            return session_id
        if not await server.sessions.open(session_id, key.account_id, key.key_id):
            raise ApiError("overloaded")
        return session_id

    # -- loading --

    async def _loaded(self) -> ModelServer:
        """Return what answers; the first call imports it, beside the event loop, and starts it."""
        if self._server is None:
            async with self._loading:
                if self._server is None:
                    made = (await asyncio.to_thread(_import_server))(
                        self._app, self._services.batch, self._streams.hub, self._services.settings
                    )
                    try:
                        await made.players.start()
                    except HubUnavailable:
                        raise ApiError("unavailable") from None
                    started = asyncio.Event()
                    self._running = asyncio.get_running_loop().create_task(self._run(made, started), name="mcp")
                    await started.wait()
                    self._server = made
                    log.info("mcp_loaded")
        return self._server

    async def _run(self, server: ModelServer, started: asyncio.Event) -> None:
        # The library's tasks have to end in the task in which they began.
        async with server.manager.run():
            started.set()
            await self._stop.wait()


def _import_server() -> type[ModelServer]:
    from cluster.hosted.server import ModelServer

    return ModelServer


def _remedy(reason: str) -> dict[str, str]:
    return {"remedy": REMEDIES[reason]} if reason in REMEDIES else {}


def _head_of(body: bytes) -> _Head:
    """Return method and parameters of a message; of what is none, nothing: the library says what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=_Head)
    except (ValueError, RecursionError):
        return _Head()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body, which was read, and then what else comes."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again


def _with_session(send: Send, session_id: str | None) -> Send:
    """Return a ``send`` that tells the client its session with the answer, if one was opened."""
    if session_id is None:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            MutableHeaders(scope=message)[SESSION_HEADER] = session_id
        await send(message)

    return sending
