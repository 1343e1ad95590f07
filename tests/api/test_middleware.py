from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from starlette.responses import StreamingResponse
from starlette.types import Message

from api.handlers import add_handlers
from api.middleware import BODY_MAX_BYTES, TURNED_AWAY_EXTENSION, RequestGuard
from tests.api.people import refused
from tests.api.support import exposition

SECRET = "sess_super-secret-token"


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    add_handlers(app)
    app.add_middleware(RequestGuard)

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError(f"leaking {SECRET}")

    @app.post("/echo")
    async def echo(body: dict[str, Any]) -> int:
        return len(body)

    @app.get("/late")
    async def late() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            raise RuntimeError(f"leaking {SECRET}")

        return StreamingResponse(parts())

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.state.trace_id)
        raise RuntimeError(f"leaking {SECRET}")

    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_what_is_turned_away_is_refused_unread_and_the_server_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("read, or routed")

    told: list[bool] = []
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    guard = RequestGuard(never, refuse_early=lambda scope: "overloaded" if scope["path"] == "/full" else None)
    scope = {"type": "http", "method": "POST", "path": "/full", "headers": [], "query_string": b""}
    for extensions in ({TURNED_AWAY_EXTENSION: lambda: told.append(True)}, {}):
        await guard({**scope, "extensions": extensions}, never, send)
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [503, 503]
    assert told == [True]
    assert capsys.readouterr().out == "", "a flood writes no lines"


async def test_an_exception_becomes_a_500_that_says_nothing(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await client.get("/boom")
    refused(answer, 500, "internal_error")
    assert answer.text == '{"detail":"internal_error"}'
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    assert "RuntimeError" in printed.out + printed.err


async def exchange(
    app: FastAPI, kind: str, path: str, query: bytes = b"", *headers: tuple[bytes, bytes]
) -> list[Message]:
    """What the app says to one request or WebSocket handshake, by the ASGI specification."""
    said: list[Message] = []
    messages: list[Message] = [{"type": "websocket.connect" if kind == "websocket" else "http.request"}]
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": list(headers),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()  # the client stays
        raise AssertionError

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said


async def test_an_exception_in_a_running_stream_is_never_a_clean_end(
    app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server sees a response that was not finished and cuts the connection, so a reader can tell."""
    start, first = await exchange(app, "http", "/late")
    assert start["status"] == 200
    assert (first["body"], first["more_body"]) == (b"first", True)
    assert SECRET not in capsys.readouterr().out


async def test_an_exception_in_a_socket_closes_it(app: FastAPI, capsys: pytest.CaptureFixture[str]) -> None:
    accepted, sent, closed = await exchange(app, "websocket", "/ws", b"", (b"x-trace-id", b"t-9"))
    assert accepted["type"] == "websocket.accept"
    assert sent["text"] == "t-9"
    assert (closed["type"], closed["code"]) == ("websocket.close", 1011)
    assert SECRET not in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["token", "Token", "access_token", "session_token", "api_key", "authorization", "password", "%74oken"]
)
async def test_a_token_in_the_url_is_refused_not_ignored(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/echo?x=1&{name}={SECRET}")
    refused(answer, 400, "token_in_url")
    assert SECRET not in answer.text


async def test_a_token_in_a_sockets_url_is_refused_before_it_opens(app: FastAPI) -> None:
    start, body = await exchange(app, "websocket", "/ws", f"token={SECRET}".encode())
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 400)
    assert body["body"] == b'{"detail":"token_in_url"}'


async def test_other_parameters_pass_and_too_many_do_not(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nothing?agent_id=a&last_event_id=b:1:2&x=%FF")).status_code == 404
    refused(await client.get("/nothing?" + "&".join("a=1" for _ in range(60))), 400, "token_in_url")


async def test_bodies_have_a_limit_declared_or_not(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield b"x" * 1_000

    refused(await client.post("/echo", content=b"x" * (BODY_MAX_BYTES + 1)), 413, "body_too_large")
    headers = {"content-type": "application/json"}
    refused(await client.post("/echo", content=endless(), headers=headers), 413, "body_too_large")
    fits = b'{"a":"' + b"x" * (BODY_MAX_BYTES - 8) + b'"}'
    assert (await client.post("/echo", content=fits, headers=headers)).json() == 1


async def test_every_answer_has_a_trace_id_the_callers_if_it_is_usable(client: httpx.AsyncClient) -> None:
    for path in ("/boom", "/nothing"):
        assert (await client.get(path, headers={"x-trace-id": "a:1"})).headers["x-trace-id"] == "a:1"
        fresh = (await client.get(path, headers={"x-trace-id": "a b"})).headers["x-trace-id"]
        assert len(fresh) == 16
        assert fresh != (await client.get(path)).headers["x-trace-id"]


async def test_strangers_paths_and_methods_make_no_new_series(client: httpx.AsyncClient) -> None:
    """Five hundred paths and methods later there are as many series as before (pitfall B25)."""

    def series() -> int:
        return exposition().count(b"\n")

    for method in ("GET", "BREW"):
        await client.request(method, "/first")
    before = series()
    for number in range(250):
        await client.get(f"/scan/{number}.php", headers={"host": f"h{number}"})
        await client.request(f"M{number}", "/boom")
    assert series() - before <= 25  # a new route's histogram and status, not one for each
    assert b"scan" not in exposition()
