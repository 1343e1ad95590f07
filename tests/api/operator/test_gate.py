"""Every call of the operators' API against every role and dead tokens, by the OpenAPI document: none is forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from api.app import create_app
from api.services import Services
from cluster import operator_jobs
from store import audit, operators
from streaming.shared_clock import utc_now
from tests.api.operator.conftest import Headers, NewOperator
from tests.api.operator.status import make_up
from tests.api.people import bearer, refused

PREFIX = "/v1/operator"
FILLED = {"agent_id": "a-0", "account_id": "acc_1", "chunk_id": "chunk-0", "name": "chunk-0", "node_id": "3f2a9c1b"}
STREAM = f"{PREFIX}/stream"


def calls_of(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every call, as the OpenAPI document has them."""
    paths: dict[str, Any] = app.openapi()["paths"]
    return [(method, path) for path, found in paths.items() if path.startswith(PREFIX) for method in found]


def filled(path: str) -> str:
    return path.format_map({**FILLED, "operator_id": "opr_none"})


async def ask(http: httpx.AsyncClient, method: str, path: str, headers: Headers) -> httpx.Response:
    json = None if method in ("get", "delete") else {"text": "hello", "shards": 2}
    return await http.request(method.upper(), filled(path), headers=headers, json=json)


@pytest.fixture
def calls(services: Services) -> list[tuple[str, str]]:
    found = calls_of(create_app(services))
    assert len(found) > 35
    return found


async def test_every_call_has_the_scheme_of_operators_and_no_other(services: Services) -> None:
    app = create_app(services)
    paths: dict[str, Any] = app.openapi()["paths"]
    for method, path in calls_of(app):
        assert paths[path][method]["security"] == [{"operator": []}], (method, path)


async def test_in_prod_every_call_is_closed_until_there_is_an_operator(
    http: httpx.AsyncClient, calls: list[tuple[str, str]]
) -> None:
    for headers in ({}, bearer("test-operator-token")):
        for method, path in calls:
            refused(await ask(http, method, path, headers), 403, "operators_closed")


async def test_no_dead_or_foreign_token_opens_any_call(
    http: httpx.AsyncClient, services: Services, new_operator: NewOperator, calls: list[tuple[str, str]]
) -> None:
    _, alive = await new_operator("alive", "operator")
    revoked_id, revoked = await new_operator("gone", "operator")
    await operators.revoke(services.engine, revoked_id)
    _, expired = await new_operator("late", "operator", utc_now() - timedelta(seconds=1))
    wrong = bearer(alive["authorization"].removeprefix("Bearer ")[:-2] + "AA")
    session = await services.sessions.open(
        role="spectator", account_id="acc_1", agent_id=None, key_id=None, key_expires_at=None, now_s=services.now_s()
    )
    dead: dict[str, Headers] = {
        "none": {},
        "revoked": revoked,
        "expired": expired,
        "wrong": wrong,
        "session": bearer(session.token),
        "fixed": bearer("test-operator-token"),
        "basic": {"authorization": "Basic YTpi"},
    }
    for name, headers in dead.items():
        for method, path in calls:
            answer = await ask(http, method, path, headers)
            # Bad tokens are counted by address: beyond that limit they are not even looked at.
            told = (answer.status_code, answer.json()["detail"])
            assert told in ((401, "invalid_token"), (429, "rate_limited")), (name, method, path)
    assert await audit.lines(services.engine, limit=10) == []


async def test_a_viewer_reads_everything_and_does_nothing(
    http: httpx.AsyncClient, services: Services, redis: Redis, viewer: Headers, calls: list[tuple[str, str]]
) -> None:
    await make_up(redis, agents=2)
    acts = 0
    for method, path in calls:
        if path == STREAM:
            continue  # it never ends: ``test_feed`` reads it
        answer = await ask(http, method, path, viewer)
        if method == "get":
            assert answer.status_code == 200, (method, path, answer.text)
        else:
            refused(answer, 403, "invalid_scope")
            acts += 1
    lines = await audit.lines(services.engine, limit=500)
    assert [(line.outcome, line.reason, line.operator) for line in lines] == [
        ("refused", "invalid_scope", "vera")
    ] * acts


async def test_whatever_an_operator_does_has_its_line_also_when_it_failed(
    http: httpx.AsyncClient,
    services: Services,
    redis: Redis,
    operator: Headers,
    calls: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(operator_jobs, "_start", nothing)
    await make_up(redis, agents=2)
    outcomes = {}
    for method, path in calls:
        if method == "get":
            continue
        answer = await ask(http, method, path, operator)
        assert answer.status_code < 500, (method, path, answer.text)
        [line] = await audit.lines(services.engine, limit=1)
        assert line.operator == "alice"
        assert line.address
        # A job ends its line itself.
        expected = {200: "done", 202: "begun"}.get(answer.status_code, "refused")
        assert line.outcome == expected, (method, path, answer.text, line)
        if answer.status_code == 200:
            assert answer.json()["audit_id"] == line.audit_id
        outcomes[line.action] = line.outcome
    assert len(outcomes) == len([1 for method, _ in calls if method != "get"])
    assert {"done", "refused"} <= set(outcomes.values())


async def test_a_body_of_the_wrong_shape_is_a_refused_line(
    http: httpx.AsyncClient, services: Services, redis: Redis, operator: Headers
) -> None:
    await make_up(redis, agents=1)
    for body in (b'{"minutes": -1}', b"{", b'{"minutes": "\\u0000"}', b"[1]", b"x" * 5000):
        answer = await http.post(
            f"{PREFIX}/agents/a-0/mute", content=body, headers={**operator, "content-type": "application/json"}
        )
        refused(answer, 422, "invalid_request")
    lines = await audit.lines(services.engine, limit=10)
    assert [(line.action, line.outcome, line.reason) for line in lines] == [("mute", "refused", "invalid_request")] * 5
    assert lines[-1].details == {"minutes": -1}


async def test_a_failure_is_a_failed_line(
    http: httpx.AsyncClient, services: Services, redis: Redis, operator: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_up(redis, agents=1)

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("not for the client")

    monkeypatch.setattr(services.strikes, "mute", broken)
    answer = await http.post(f"{PREFIX}/agents/a-0/mute", json={}, headers=operator)
    refused(answer, 500, "internal_error")
    [line] = await audit.lines(services.engine, limit=1)
    assert (line.outcome, line.reason) == ("failed", "internal_error")


async def test_nothing_is_done_that_can_not_be_written_down(
    http: httpx.AsyncClient, services: Services, redis: Redis, operator: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_up(redis, agents=1)

    async def away(*_: object, **__: object) -> int:
        raise ConnectionError

    monkeypatch.setattr(audit, "begin", away)
    answer = await http.post(f"{PREFIX}/agents/a-0/mute", json={}, headers=operator)
    refused(answer, 503, "unavailable")
    assert (await services.strikes.standing("a-0")).muted_by is None


async def test_no_secret_gets_into_a_line(
    http: httpx.AsyncClient, services: Services, redis: Redis, operator: Headers
) -> None:
    await make_up(redis, agents=1)
    token = operator["authorization"].removeprefix("Bearer ")
    answer = await http.post(f"{PREFIX}/agents/a-0/ban", json={"reason": f"gave {token} away"}, headers=operator)
    assert answer.status_code == 200
    [line] = await audit.lines(services.engine, limit=1)
    assert token not in str(line)
    assert line.subject == "a-0"
