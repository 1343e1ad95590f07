"""What needs no secret is for this machine: pages of others can't have it, whatever they call us."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection

from api.accounts.auth import DEV_TOKEN, SUBPROTOCOL
from api.accounts.local_only import LocalOnly, is_loopback
from api.errors import ApiError
from config.settings import Settings
from tests.api.gates import Gate, running
from tests.api.people import bearer, refused
from tests.api.support import FakeWorld

DEV_ROUTES = [
    ("/v1/dev/spectator-session", None),
    ("/v1/dev/owner-session", {"agent_id": "a-1"}),
    ("/api/v1/dev/owner-session", None),
    ("/v1/dev/agent/move-to", {"agent_id": "a-1", "x": 1, "y": 2}),
    ("/api/v1/dev/agent/move-to", {"agent_id": "a-1", "x": 1, "y": 2}),
]
FOREIGN = [
    {"host": "evil.example:8000"},
    {"host": "evil.example:8000", "origin": "http://evil.example:8000"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
    {"host": "127.0.0.1.evil.example"},
]


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> str:
    """One database for all: nothing here reads it."""
    return postgres_url


def request(headers: dict[str, str] | list[tuple[str, str]]) -> HTTPConnection:
    pairs = headers.items() if isinstance(headers, dict) else headers
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    return HTTPConnection({"type": "http", "headers": raw})


def passes(headers: dict[str, str] | list[tuple[str, str]], **settings: Any) -> bool:
    try:
        LocalOnly(Settings(**settings)).check(request(headers))
    except ApiError as error:
        return error.reason != "not_local"
    return True


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost"},
        {"host": "LOCALHOST.:8000"},
        {"host": "127.0.0.1:8000"},
        {"host": "127.9.9.9:8000"},
        {"host": "[::1]:8000"},
        {"host": "world.localhost:8000"},
        {"host": "localhost:8000", "origin": "http://localhost:5173"},
        {"host": "localhost:8000", "origin": "http://127.0.0.1:3000"},
    ],
)
def test_this_machine(headers: dict[str, str]) -> None:
    assert passes(headers)


@pytest.mark.parametrize(
    "headers",
    [
        *({"host": "localhost"} | foreign for foreign in FOREIGN),
        {},
        {"host": ""},
        {"host": "0.0.0.0:8000"},
        {"host": "[::1"},
        {"host": "user@localhost@evil.example"},
        {"host": "192.168.0.7:8000"},
        {"host": "localhost", "origin": "file://localhost"},
        {"host": "localhost", "origin": "chrome-extension://localhost"},
        [("host", "localhost"), ("host", "evil.example")],
        [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.example")],
    ],
)
def test_everybody_else(headers: dict[str, str] | list[tuple[str, str]]) -> None:
    assert not passes(headers)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "a.localhost"])
def test_addresses_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "::1f", "::10.0.0.1", "::ffff:10.0.0.1", "127.example.com", "10.0.0.1", "nolocalhost"]
)
def test_addresses_of_others(host: str) -> None:
    assert not is_loopback(host)


def test_what_the_operator_has_named() -> None:
    listening = {"host": "10.0.0.5:8000", "origin": "http://10.0.0.5:8000"}
    assert passes(listening, host="10.0.0.5")
    assert not passes(listening, host="0.0.0.0")
    named = {"host": "dev.example.org", "origin": "https://dev.example.org"}
    assert passes(named, host="0.0.0.0", cors_origins="https://dev.example.org")
    assert not passes(named)


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize(("route", "body"), DEV_ROUTES)
async def test_dev_routes_are_for_this_machine(
    http: httpx.AsyncClient, world: FakeWorld, route: str, body: Any, foreign: dict[str, str]
) -> None:
    answer = await http.post(route, json=body, headers=bearer(DEV_TOKEN) | foreign)
    refused(answer, 403, "not_local")
    assert not world.submitted


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_the_fixed_token_is_for_this_machine(http: httpx.AsyncClient, foreign: dict[str, str]) -> None:
    for path in ("/v1/chunks/chunk-0/snapshot", "/v1/spectate/stream?chunk_id=demo", "/v1/chunks"):
        refused(await http.get(path, headers=bearer(DEV_TOKEN) | foreign), 403, "not_local")
    refused(await http.delete("/v1/sessions", headers=bearer(DEV_TOKEN) | foreign), 403, "not_local")


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_a_token_that_is_a_secret_works_from_everywhere(http: httpx.AsyncClient, foreign: dict[str, str]) -> None:
    opened = (await http.post("/v1/dev/spectator-session")).json()
    answer = await http.post("/v1/sessions/refresh", headers=bearer(opened["session_token"]) | foreign)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/v1/signup", "/v1/sessions", "/v1/keys"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", None])
async def test_a_body_that_a_page_may_send_without_asking_is_not_read(
    http: httpx.AsyncClient, path: str, content_type: str | None
) -> None:
    """Only ``application/json`` makes a browser ask first whether the other origin may."""
    headers = {} if content_type is None else {"content-type": content_type}
    body = b'{"email": "page@example.com", "password": "password123", "api_key": "dcw_x", "role": "spectator"}'
    answer = await http.post(path, content=body, headers=headers | {"origin": "https://evil.example"})
    assert answer.status_code in (401, 422)


@pytest.fixture
async def gate(settings: Settings) -> Any:
    async with running(settings, FakeWorld()) as gate:
        yield gate


async def test_a_foreign_pages_socket_gets_nothing_for_the_fixed_token(gate: Gate) -> None:
    path = "/v1/spectate/ws?chunk_id=demo"
    for foreign in FOREIGN:
        if "origin" in foreign:
            options: Any = {"origin": foreign["origin"], "subprotocols": [SUBPROTOCOL, DEV_TOKEN]}
            assert await gate.denied(path, DEV_TOKEN, **options) == (403, "not_local")
