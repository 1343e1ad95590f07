from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from uvicorn.protocols.utils import ClientDisconnected

from api.errors import ApiError
from api.handlers import add_handlers
from api.middleware import RequestGuard
from api.services import Services
from store import accounts
from tests.api.people import bearer, refused


async def test_the_frameworks_refusals_have_reasons(http: httpx.AsyncClient) -> None:
    refused(await http.get("/nothing"), 404, "not_found")
    answer = await http.put("/v1/signup")
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    refused(await http.get("/healthz/"), 404, "not_found")


async def test_every_405_names_all_methods_of_its_path(http: httpx.AsyncClient) -> None:
    """Whichever routes there are, under their aliases too."""
    document = (await http.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        url = path.replace("{key_id}", "key_1").replace("{chunk_id}", "chunk-0")
        answer = await http.request("TRACE", url)
        refused(answer, 405, "method_not_allowed")
        methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
        assert answer.headers["allow"] == ", ".join(method for method in methods if method.lower() in operations)
    several = {
        "/v1/keys": "GET, POST",
        "/v1/sessions": "POST, DELETE",
        "/api/v1/dev/agent/move-to": "POST",
        "/openapi.json": "GET, HEAD",
    }
    for url, allow in several.items():
        assert (await http.put(url)).headers["allow"] == allow


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b"\xff\xfe",
        b"[" * 5_000,
        b'{"email":' * 2_000,
        b"1" * 5_000,
        b'"\\ud800"',
        b"NaN",
        b"[]",
        b"1",
    ],
)
async def test_bodies_that_are_no_json_are_refused_and_not_quoted(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/v1/signup", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"] in ("bad_request", "invalid_request")
    assert len(answer.text) < 300


async def test_faults_name_places_and_never_values(http: httpx.AsyncClient) -> None:
    secret = "hunter2-but-longer" * 10
    answer = await http.post("/v1/signup", json={"email": secret, "password": secret, secret: secret})
    refused(answer, 422, "invalid_request")
    assert "hunter2" not in answer.text
    assert {fault["loc"][1] for fault in answer.json()["errors"]} == {"email", "password"}


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (OperationalError("SELECT 1", {"secret": 1}, Exception("gone")), 503, "unavailable"),
        (PoolTimeoutError(), 503, "unavailable"),
        (RedisConnectionError("secret"), 503, "unavailable"),
        (ConnectionRefusedError("secret"), 503, "unavailable"),
        (TimeoutError("secret"), 503, "unavailable"),
        (DataError("SELECT 1", {"secret": 1}, Exception("secret")), 500, "internal_error"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
async def test_a_dependency_that_is_away_is_503_and_a_bug_is_500(
    http: httpx.AsyncClient,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    reason: str,
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(accounts, "by_token_hash", fail)
    answer = await http.get("/v1/keys", headers=bearer("dca_x"))
    refused(answer, status, reason)
    assert ("retry-after" in answer.headers) is (status == 503)
    assert "secret" not in answer.text + capsys.readouterr().out


async def test_cors_is_for_the_development_page(http: httpx.AsyncClient) -> None:
    origin = {"origin": "http://localhost:5173"}
    answer = await http.get("/healthz", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, last-event-id"}
    assert (await http.options("/v1/sessions", headers=origin | asked)).status_code == 200
    answer = await http.get("/healthz", headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/v1/agents/a-1/notes/x", "PUT", "authorization, content-type"),
        ("/mcp", "POST", "authorization, content-type, mcp-session-id, mcp-protocol-version"),
        ("/mcp", "DELETE", "authorization, mcp-session-id"),
    ],
)
async def test_a_page_of_a_named_origin_may_ask_for_all_that_there_is(
    http: httpx.AsyncClient, path: str, method: str, headers: str
) -> None:
    asked = {"access-control-request-method": method, "access-control-request-headers": headers}
    answer = await http.options(path, headers={"origin": "http://localhost:5173"} | asked)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [(RedisConnectionError("secret"), 1013, "unavailable"), (DataError("", {}, Exception()), 1011, "internal_error")],
)
async def test_an_accepted_socket_is_told_by_its_close_code(error: Exception, code: int, reason: str) -> None:
    app = FastAPI()
    add_handlers(app)

    @app.websocket("/ws")
    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        raise error

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/ws", "query_string": b"", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert (sent[1]["code"], sent[1]["reason"]) == (code, reason)


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_client_that_leaves_before_its_answer_is_no_failure(
    accepted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    app = FastAPI()
    add_handlers(app)
    app.add_middleware(RequestGuard)

    @app.websocket("/ws")
    async def fail(websocket: WebSocket) -> None:
        if accepted:
            await websocket.accept()
        raise ApiError("draining")

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        if message["type"] != "websocket.accept":
            raise ClientDisconnected

    scope = {"type": "websocket", "path": "/ws", "query_string": b"", "headers": []}
    await app(scope | {"extensions": {"websocket.http.response": {}}}, receive, send)
    assert "request_failed" not in capsys.readouterr().out
