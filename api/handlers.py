"""Exceptions to answers: every one of them ``{"detail": "<reason>"}``, none of them with anything the client sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api.errors import ApiError
from api.sockets.connections import CLOSE_FAILED, CLOSE_TRY_LATER
from api.validation import broken_rule
from config.logs import described

log = structlog.get_logger(__name__)

FAULTS_MAX: Final = 20
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

#: What the framework raises by itself, as reasons of ours.
REASON_OF_STATUS: Final = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}

#: Errors that say that a dependency is away or slow; the request may be tried again.
AWAY: Final = (RedisError, OperationalError, InterfaceError, PoolTimeoutError, ConnectionError, TimeoutError)


def add_handlers(app: FastAPI) -> None:
    """Register the handlers; each serves requests and WebSocket handshakes alike."""
    app.add_exception_handler(ApiError, _both(_refused))
    app.add_exception_handler(HTTPException, _both(_framework))
    app.add_exception_handler(RequestValidationError, _both(_invalid))
    app.add_exception_handler(WebSocketRequestValidationError, _both(_invalid))
    app.add_exception_handler(DBAPIError, _both(_database))
    for kind in AWAY:
        app.add_exception_handler(kind, _both(_away))


def _both(make: Callable[[HTTPConnection, Any], Response]) -> Any:
    async def handle(connection: HTTPConnection, error: Exception) -> Response | None:
        response = make(connection, error)
        if isinstance(connection, WebSocket):
            with suppress(WebSocketDisconnect, OSError):  # a client that has left meanwhile needs no answer
                await _answer_socket(connection, response)
            return None
        return response

    return handle


async def _answer_socket(connection: WebSocket, response: Response) -> None:
    if connection.application_state is WebSocketState.CONNECTING:
        # Before accept: the client sees the HTTP status.
        await connection.send_denial_response(response)
    elif connection.application_state is WebSocketState.CONNECTED:
        away = response.status_code == 503
        await connection.close(CLOSE_TRY_LATER if away else CLOSE_FAILED, "unavailable" if away else "internal_error")


def _answer(error: ApiError, **more: Any) -> Response:
    return JSONResponse({"detail": error.reason, **more}, status_code=error.status_code, headers=error.headers)


def _refused(_: HTTPConnection, error: ApiError) -> Response:
    if error.status_code == 429 and error.retry_after_s is not None:
        return _answer(error, retry_after_ms=max(1, math.ceil(error.retry_after_s * 1000)))
    return _answer(error) if error.words is None else _answer(error, text=error.words)


def _framework(connection: HTTPConnection, error: HTTPException) -> Response:
    response = _answer(ApiError(REASON_OF_STATUS.get(error.status_code, "bad_request")))
    if error.status_code == 405:
        response.headers["allow"] = ", ".join(_allowed(connection))
    return response


def _allowed(connection: HTTPConnection) -> list[str]:
    """Return the methods of all routes to the path; the framework names those of the first one alone."""
    routes = connection.app.router.routes

    def serves(method: str) -> bool:
        scope = {**connection.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return [method for method in METHODS if serves(method)]


def _invalid(_: HTTPConnection, error: RequestValidationError | WebSocketRequestValidationError) -> Response:
    found = error.errors()[:FAULTS_MAX]
    faults = [
        # A body that is no JSON is placed by its offset, a field by its name; a stranger's key is not echoed at length.
        {"loc": [part if isinstance(part, int) else str(part)[:64] for part in fault["loc"]], "type": fault["type"]}
        for fault in found
    ]
    return _answer(ApiError("invalid_request"), errors=faults, fields=[broken_rule(fault) for fault in found])


def _database(connection: HTTPConnection, error: DBAPIError) -> Response:
    if error.connection_invalidated:
        return _away(connection, error)
    log.error("database_refused", **described(error))
    return _answer(ApiError("internal_error"))


def _away(connection: HTTPConnection, error: Exception) -> Response:
    log.warning("dependency_away", route=getattr(connection.scope.get("route"), "path", ""), **described(error))
    return _answer(ApiError("unavailable"))
