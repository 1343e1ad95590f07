"""What every request passes: trace id, size limit, no tokens in URLs, metrics, one log line, no leaking exception.

What can be refused by its head alone is refused here, before a body is read and a route is looked for.

Plain ASGI, so that event streams pass through unbuffered and WebSockets too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import metrics
from api.errors import ApiError
from api.ids import TraceId, trace_id_or_new
from config.logs import described

log = structlog.get_logger(__name__)

BODY_MAX_BYTES: Final = 64 * 1024
TRACE_HEADER: Final = "x-trace-id"
QUERY_FIELDS_MAX: Final = 50

#: Query parameters in which a secret might be sent.  Refused, not ignored: a URL ends up in logs everywhere.
SECRET_PARAMETERS: Final = frozenset(
    {"token", "access_token", "session_token", "account_token", "api_key", "apikey", "key", "authorization", "bearer"}
    | {"password", "cmd_secret", "secret", "jwt"}
)

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: ``scope["extensions"][TURNED_AWAY_EXTENSION]()``, where the server has it: this answer counts against the
#: connection's address, and ends it.
TURNED_AWAY_EXTENSION: Final = "chunkcrawl.turned_away"
#: Paths that are not logged: machines ask them every few seconds, and a line each would bury the rest.
QUIET_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestGuard:
    """The outermost of our own layers; see the module.

    ``refuse_early``: given the scope of an HTTP request, the reason for which it is refused by its head, or None.  A
    request that is refused in this way has no line in the log.
    """

    def __init__(self, app: ASGIApp, refuse_early: Callable[[Scope], str | None] = lambda _: None) -> None:
        self._app = app
        self._refuse_early = refuse_early

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or WebSocket on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace_id = trace_id_or_new(headers.get(TRACE_HEADER))
        scope.setdefault("state", {})["trace_id"] = trace_id
        passage = _Passage(scope, receive, send, trace_id)
        try:
            passage.check(headers)
            if scope["type"] == "http" and (reason := self._refuse_early(scope)) is not None:
                await passage.refuse_early(ApiError(reason))
            else:
                await self._app(scope, passage.receive, passage.send)
        except ApiError as error:
            await passage.refuse(error)
        except Exception as error:  # nothing of it may reach the client, and its text may quote a secret
            log.error("request_failed", trace_id=trace_id, route=passage.route, **described(error))
            await passage.refuse(ApiError("internal_error"))
        finally:
            passage.finish()


class _Passage:
    """One request or WebSocket on its way through."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, trace_id: TraceId) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._trace_id = trace_id
        self._began = time.perf_counter()
        self._got_bytes = 0
        self._status: int | None = None
        self._over = False
        self._quiet = False

    def check(self, headers: Headers) -> None:
        """Check a request's head.  Raises ``ApiError``: ``token_in_url``, ``body_too_large``."""
        query = self._scope["query_string"]
        if query and _has_secret(query):
            raise ApiError("token_in_url")
        length = headers.get("content-length", "0")
        if self._scope["type"] == "http" and length.isdecimal() and int(length) > BODY_MAX_BYTES:
            raise ApiError("body_too_large")

    @property
    def route(self) -> str:
        """The path's template; never the path, which strangers choose."""
        return getattr(self._scope.get("route"), "path", "unmatched")

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._got_bytes += len(message.get("body", b""))
            if self._got_bytes > BODY_MAX_BYTES:
                raise ApiError("body_too_large")
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._start(message["status"])
            message.setdefault("headers", [])
            MutableHeaders(scope=message)[TRACE_HEADER] = self._trace_id
        elif kind == "websocket.accept":
            self._start(101)
        elif kind == "websocket.close":
            self._over = True
            if self._status is None:
                self._start(403)
        await self._send(message)

    async def refuse(self, error: ApiError) -> None:
        """Answer with ``error``, as far as that is still possible."""
        if self._scope["type"] == "websocket" and self._status == 101:
            if not self._over:
                await self._send({"type": "websocket.close", "code": 1011, "reason": error.reason})
            return
        if self._status is not None:
            return
        response = JSONResponse({"detail": error.reason}, status_code=error.status_code, headers=error.headers)
        # For a handshake starlette's responses send the denial messages, where the server knows them.
        await response(self._scope, self._receive, self.send)

    async def refuse_early(self, error: ApiError) -> None:
        """Answer with ``error``, by the head alone."""
        self._quiet = True
        note = self._scope.get("extensions", {}).get(TURNED_AWAY_EXTENSION)
        if note is not None:
            note()
        await self.refuse(error)

    def finish(self) -> None:
        scope = self._scope
        if scope["type"] != "http" or self._status is None:
            return
        method = scope["method"] if scope["method"] in METHODS else "other"
        metrics.HTTP_REQUESTS.labels(method, self.route, str(self._status)).inc()
        if self._quiet or scope["path"] in QUIET_PATHS:
            return
        log.info(
            "request",
            trace_id=self._trace_id,
            method=method,
            route=self.route,
            status=self._status,
            ms=round((time.perf_counter() - self._began) * 1e3, 1),
        )

    def _start(self, status: int) -> None:
        self._status = int(status)  # an ``HTTPStatus`` would stand in the log by its name
        if self._scope["type"] == "http":
            metrics.HTTP_SECONDS.labels(self.route).observe(time.perf_counter() - self._began)


def _has_secret(query: bytes) -> bool:
    try:
        pairs: list[Any] = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        return True
    return any(name.strip().lower() in SECRET_PARAMETERS for name, _ in pairs)
