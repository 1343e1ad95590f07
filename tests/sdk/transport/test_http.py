"""The HTTP client: what it asks, and what it makes of odd answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from chunkcrawl.errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidRequest,
    InvalidSession,
    NotFound,
    NotReady,
    ProtocolViolation,
    ServerUnreachable,
    TooManyRequests,
)
from chunkcrawl.transport.http import Api, Session, error_of, websocket_url


def api(handler: Callable[[httpx.Request], httpx.Response]) -> Api:
    return Api("http://test/", http=httpx.AsyncClient(transport=httpx.MockTransport(handler)))


def answering(status: int, body: object, **headers: str) -> Api:
    return api(lambda _: httpx.Response(status, json=body, headers=headers))


async def test_a_key_is_made_with_the_account_token_or_with_the_password() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"key_id": "k", "key_prefix": "p", "api_key": "dcw_x"})

    await api(handler).create_key("acc", auth="token", label="mine")
    await api(handler).create_key(auth=("a@example.com", "pass word"))
    assert seen[0].headers["authorization"] == "Bearer token"
    assert json.loads(seen[0].content) == {"account_id": "acc", "label": "mine"}
    assert seen[1].headers["authorization"].startswith("Basic ")
    assert json.loads(seen[1].content) == {}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequest),
        (401, InvalidSession),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (422, InvalidRequest),
        (429, TooManyRequests),
        (500, ApiError),
        (503, NotReady),
    ],
)
async def test_each_status_has_its_type_and_keeps_the_reason(status: int, error: type[ApiError]) -> None:
    with pytest.raises(error) as caught:
        await answering(status, {"detail": "some_reason"}).signup("a@example.com", "password")
    assert (caught.value.status, caught.value.reason) == (status, "some_reason")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "http_502"),
        (b'{"detail":[1]}', "http_502"),
        (b"[]", "http_502"),
        (b'{"detail":"' + b"x" * 999 + b'"}', "x" * 200),
    ],
)
def test_what_a_proxy_says_is_no_reason(body: bytes, reason: str) -> None:
    assert error_of(502, {}, body).reason == reason


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("", None), ("soon", None), ("-1", None), ("\u0663", None)]
)
def test_retry_after_is_read_strictly(header: str, seconds: float | None) -> None:
    assert error_of(429, {"retry-after": header}, b"{}").retry_after_s == seconds


async def test_an_answer_of_another_shape_is_a_violation_that_names_no_values() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        await answering(201, {"account_id": {"secret": "hunter2"}}).signup("a@example.com", "password")
    assert "hunter2" not in str(caught.value)


async def test_no_connection_is_a_type_of_its_own() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ServerUnreachable, match="refused"):
        await api(broken).signup("a@example.com", "password")


@pytest.mark.parametrize(
    ("expires_at", "lifetime_s"),
    [
        ("2001-09-09T02:01:40Z", 900.0),
        ("2001-09-09T02:01:40+00:00", 900.0),
        (1_000_000_900, 900.0),
        (1_000_000_900_000, 900.0),
        ("2001-09-09T01:00:00Z", 0.0),
        (None, 900.0),
        ("tomorrow", 900.0),
    ],
)
async def test_a_lifetime_is_reckoned_by_the_servers_clock(expires_at: object, lifetime_s: float) -> None:
    body = {"session_token": "sess_1", "session_jti": "jti_1", "role": "agent", "expires_at": expires_at}
    session = await answering(200, body, date="Sun, 09 Sep 2001 01:46:40 GMT").open_session("k", "agent", "a")
    assert session.lifetime_s == lifetime_s


async def test_what_the_server_says_of_a_lifetime_counts_before_any_date() -> None:
    body = {"session_token": "sess_1", "session_jti": "jti_1", "role": "agent", "expires_at": 5, "expires_in_s": 600}
    session = await answering(200, body, date="Sun, 09 Sep 2001 01:46:40 GMT").open_session("k", "agent", "a")
    assert session.lifetime_s == 600.0


async def test_lists_come_bare_or_under_their_name() -> None:
    key = {"key_id": "k", "key_prefix": "dcw_p", "label": None, "unknown": 1}
    assert (await answering(200, [key]).list_keys(auth="t"))[0].key_id == "k"
    assert (await answering(200, {"keys": [key]}).list_keys(auth="t"))[0].key_prefix == "dcw_p"
    with pytest.raises(ProtocolViolation):
        await answering(200, {"else": 1}).list_keys(auth="t")


async def test_all_pages_of_agents_are_read_and_thoughts_shown() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.method == "PATCH":
            return httpx.Response(200, json={"agent_id": "a/b", "thoughts_public": True})
        second = "after" in request.url.params
        agents = [{"agent_id": "b", "thoughts_public": True}] if second else [{"agent_id": "a", "created_at": "x"}]
        return httpx.Response(200, json={"agents": agents, "next": None if second else "a"})

    found = await api(handler).own_agents(auth="dcw_1")
    assert [(agent.agent_id, agent.thoughts_public) for agent in found] == [("a", False), ("b", True)]
    assert (await api(handler).show_thoughts("a/b", True, auth="dcw_1")).thoughts_public
    assert [str(request.url) for request in seen[1:]] == [
        "http://test/v1/agents?after=a",
        "http://test/v1/agents/a%2Fb",
    ]
    assert json.loads(seen[2].content) == {"thoughts_public": True}


def test_a_refused_request_names_field_and_rule() -> None:
    fields = [{"field": "password", "rule": "has 8 characters at least"}, {"field": 7}, "else"]
    error = error_of(422, {}, json.dumps({"detail": "invalid_request", "fields": fields}).encode())
    assert [(fault.field, fault.rule) for fault in error.faults] == [("password", "has 8 characters at least")]
    assert str(error) == "invalid_request (HTTP 422): password has 8 characters at least"


async def test_what_is_no_unicode_is_refused_and_no_traceback() -> None:
    broken = json.dumps({"email": "a", "password": "half \ud800"}).encode()
    seen: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(422, json={"detail": "invalid_request"})

    with pytest.raises(InvalidRequest):
        await api(handler).signup("a", "half \ud800")
    assert seen == [broken]
    for auth in ("half \ud800", ("a@example.com", "half \ud800")):
        with pytest.raises(InvalidRequest, match="can't be sent"):
            await api(handler).create_key(auth=auth)


def test_a_session_does_not_show_its_secrets() -> None:
    session = Session("sess_hidden", "jti_1", "agent", "hidden-too", "2030-01-01T00:00:00Z")
    assert "hidden" not in repr(session)
    assert "hidden" not in f"{session}"


@pytest.mark.parametrize(
    ("base", "url"),
    [("http://h:1", "ws://h:1/p?agent_id=a+b"), ("https://h/", "wss://h/p?agent_id=a+b")],
)
def test_sockets_live_beside_their_http(base: str, url: str) -> None:
    assert websocket_url(base, "/p", {"agent_id": "a b"}) == url


@pytest.mark.parametrize("reason", ["agent_not_owned", "email_already_exists", "invalid_api_key"])
def test_errors_of_the_first_minutes_name_the_remedy(reason: str) -> None:
    text = str(error_of(403, {}, f'{{"detail": "{reason}"}}'.encode()))
    assert text.startswith(f"{reason} (HTTP 403): ")
    assert str(error_of(403, {}, b'{"detail": "invalid_scope"}')) == "invalid_scope (HTTP 403)"


async def test_an_answer_that_trickles_in_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trickle(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.01)
                yield b" "

    monkeypatch.setattr("chunkcrawl.transport.http.ANSWER_TIMEOUT_S", 0.1)
    with pytest.raises(ServerUnreachable, match="Timeout"):
        await api(lambda _: httpx.Response(200, stream=Trickle())).open_session("dcw_x", "spectator")
