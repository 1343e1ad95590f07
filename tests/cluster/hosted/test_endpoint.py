"""Who comes in at ``/mcp``, and what becomes of requests that are no good."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api import metrics
from config.limit import Limit
from store import bans
from tests.api.gates import Gate
from tests.cluster.hosted.conftest import new_key

ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}


@pytest.fixture
async def http(gates: list[Gate], key: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = ACCEPT | {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=gates[0].base, headers=headers, timeout=30) as client:
        yield client


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def message(answer: httpx.Response) -> dict[str, Any]:
    """The JSON-RPC message of an answer, as JSON or as the one event of a stream."""
    if answer.headers["content-type"].startswith("application/json"):
        found: dict[str, Any] = answer.json()
        return found
    [data] = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    found = json.loads(data)
    return found


async def session_of(http: httpx.AsyncClient) -> str:
    answer = await http.post("/mcp", json=HELLO)
    assert answer.status_code == 200, answer.text
    assert message(answer)["result"]["serverInfo"]["name"] == "chunkcrawl"
    found: str = answer.headers["mcp-session-id"]
    return found


async def test_only_a_good_key_comes_in_and_nothing_is_loaded_for_others(
    gates: list[Gate], http: httpx.AsyncClient, key: str
) -> None:
    for authorization in ("", "Bearer dcw_" + "x" * 56, "Basic YTpi", f"Bearer {key}x"):
        answer = await http.post("/mcp", json=HELLO, headers={"authorization": authorization})
        assert (answer.status_code, answer.json()["detail"]) == (401, "invalid_api_key")
        assert "chunkcrawl key create" in answer.json()["remedy"]
        assert answer.headers["www-authenticate"].startswith("Bearer")
    foreign = await http.post("/mcp", json=HELLO, headers={"origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["detail"]) == (403, "not_local")
    rebound = {"origin": "http://evil.example:8000", "host": "evil.example:8000"}
    assert (await http.post("/mcp", json=HELLO, headers=rebound)).status_code == 403
    got = await http.get("/mcp")
    assert (got.status_code, got.json()["detail"]) == (405, "method_not_allowed")
    assert gates[0].models._server is None
    assert (await http.post("/mcp", json=HELLO, headers={"origin": "http://localhost:5173"})).status_code == 200
    # Of a request before the last one of this connection, which is counted by now.
    assert metrics.HTTP_REQUESTS.labels("GET", "/mcp", "405")._value.get() >= 1


async def test_who_is_banned_comes_in_at_no_gateway(gates: list[Gate], http: httpx.AsyncClient, key: str) -> None:
    session = {"mcp-session-id": await session_of(http)}
    services = gates[0].services
    proof = await services.key_ring.prove(key)
    await bans.ban(services.engine, "account", proof.account_id, reason="", by="alice", minutes=None)
    for gate in gates:
        await gate.services.bans.read()
        for headers in ({}, session):
            answer = await http.post(f"{gate.base}/mcp", json=HELLO if not headers else LIST, headers=headers)
            assert (answer.status_code, answer.json()["detail"]) == (403, "banned")
    await bans.unban(services.engine, "account", proof.account_id)
    await services.bans.read()
    assert message(await http.post("/mcp", json=LIST, headers=session))["result"]["tools"]


BODIES = [
    *(b"", b"{", b"[]", b"[1,2]", b"null", b'{"jsonrpc":"2.0"}', b'{"method":7}', b"\xff\xfe", b"[" * 60_000),
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"no_such_tool","arguments":{}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"observe","arguments":{"budget_tokens":1e99}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"play_as","arguments":{"agent_id":"\\u0000"}}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{"a":[1]}}}',
]


async def test_no_body_breaks_it(http: httpx.AsyncClient) -> None:
    versions: tuple[dict[str, str], ...] = (
        {},
        {"mcp-protocol-version": "2026-07-28"},
        {"mcp-protocol-version": "x" * 300},
    )
    for body, headers in itertools.product(BODIES, versions):
        answer = await http.post("/mcp", content=body, headers=headers)
        assert answer.status_code < 500, (body[:80], answer.text)
        assert "Traceback" not in answer.text
    await session_of(http)
    answer = await http.post("/mcp", json=HELLO | {"padding": "x" * 70_000})
    assert (answer.status_code, answer.json()["detail"]) == (413, "body_too_large")


async def test_a_session_is_its_accounts_and_ends(gates: list[Gate], http: httpx.AsyncClient) -> None:
    mine = {"mcp-session-id": await session_of(http)}
    assert message(await http.post("/mcp", json=LIST, headers=mine))["result"]["tools"]
    other = mine | {"authorization": f"Bearer {await new_key(gates[0])}"}
    for headers in (other, {"mcp-session-id": "mcp_unknown"}, {"mcp-session-id": "x" * 500}):
        for answer in (await http.post("/mcp", json=LIST, headers=headers), await http.delete("/mcp", headers=headers)):
            assert (answer.status_code, answer.json()["detail"]) == (404, "session_not_found")
    assert (await http.delete("/mcp", headers=mine)).status_code == 204
    assert (await http.post("/mcp", json=LIST, headers=mine)).status_code == 404


async def test_without_a_session_a_key_has_one(http: httpx.AsyncClient) -> None:
    played = message(await http.post("/mcp", json=call("play_as", agent_id="scout-1")))
    assert played["result"]["structuredContent"]["ok"], played
    seen = message(await http.post("/mcp", json=call("observe", budget_tokens=60)))
    assert seen["result"]["content"][0]["text"].startswith("You are scout-1")


async def test_an_account_has_a_bounded_number_of_sessions_and_requests(
    gates: list[Gate], http: httpx.AsyncClient
) -> None:
    first = await session_of(http)
    assert gates[0].models._server is not None
    gates[0].models._server.sessions._account_max = 2
    second, third = await session_of(http), await session_of(http)
    codes = [
        (await http.post("/mcp", json=LIST, headers={"mcp-session-id": one})).status_code
        for one in (first, second, third)
    ]
    assert codes == [404, 200, 200]
    gates[0].models._server.sessions._account_max = 9
    gates[0].models._server.sessions._most = 2
    full = await http.post("/mcp", json=HELLO)
    assert (full.status_code, full.json()["detail"]) == (503, "overloaded")
    object.__setattr__(gates[0].services.limits._rules, "account_model_calls", Limit.parse("1+1/h"))
    codes = [(await http.post("/mcp", json=LIST)).status_code for _ in range(2)]
    assert codes[-1] == 429
    await gates[0].models.drain()
    answer = await http.post("/mcp", json=HELLO)
    assert (answer.status_code, answer.json()["detail"]) == (503, "draining")
