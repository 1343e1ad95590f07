"""The server's own counts, read from its metrics page."""

from __future__ import annotations

import httpx
import pytest

from loadtest.server_counts import compare, parse_counts, read_counts

PAGE = """
# TYPE commands_decided_total counter
commands_decided_total{accepted="true"} 12
commands_decided_total{accepted="false"} 3
# TYPE commands_refused_total counter
commands_refused_total{reason="busy"} 2
commands_refused_total{reason="rate_limited"} 1
# TYPE challenge_answer_invalid_total counter
challenge_answer_invalid_total{check="expired"} 1
# TYPE command_completed_total counter
command_completed_total 8
# TYPE command_failed_total counter
command_failed_total{reason="blocked"} 3
command_failed_total{reason="depleted"} 1
# TYPE agent_connections gauge
agent_connections 4
# TYPE spectator_connections gauge
spectator_connections 5
"""


def test_a_page_is_summed() -> None:
    assert parse_counts(PAGE) == {"acks": 12, "results": 12, "refusals": 7, "agents": 4, "spectators": 5}


def test_counters_that_never_counted_are_zero() -> None:
    assert parse_counts("agent_connections 0\n") == {
        "acks": 0,
        "results": 0,
        "refusals": 0,
        "agents": 0,
        "spectators": 0,
    }


def test_another_servers_page_is_none_of_ours() -> None:
    assert parse_counts("some_metric 1\n") is None


def test_differences_are_compared() -> None:
    before = {"acks": 10.0, "results": 9.0, "refusals": 0.0, "agents": 1.0, "spectators": 0.0}
    after = {"acks": 25.0, "results": 24.0, "refusals": 2.0, "agents": 6.0, "spectators": 3.0}
    found = compare(before, after, {"acks": 15.0, "agents": 4.0})
    assert [(one.name, one.ours, one.servers) for one in found] == [("acks", 15.0, 15.0), ("agents", 4.0, 5.0)]


@pytest.mark.parametrize(
    ("status", "text", "read"), [(200, PAGE, True), (200, "<html>", False), (401, "", False), (404, PAGE, False)]
)
async def test_who_may_not_read_it_does_without(
    status: int, text: str, read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tokens.append(request.headers.get("authorization"))
        return httpx.Response(status, text=text)

    real = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: real(transport=httpx.MockTransport(answer)))
    assert (await read_counts("http://x", "tok") is not None) is read
    assert tokens == ["Bearer tok"]


async def test_nobody_there_is_no_failure() -> None:
    assert await read_counts("http://127.0.0.1:1", None) is None
