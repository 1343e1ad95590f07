"""``GET /v1/leaderboard``: for any role, by measure and period, and nothing private in it."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from api.services import Services
from store import event_log, standings
from store.event_log import LogRow
from streaming.shared_clock import utc_now
from tests.api.people import bearer, playing, refused

DEV = bearer("test-spectator-token")


def fact(kind: str, agent_id: str, number: int, payload: str = "{}", *, days_ago: int = 0) -> LogRow:
    ms = standings.ms_of(utc_now() - timedelta(days=days_ago))
    return LogRow(f"{ms}-{number}", "run_1", number, "chunk-0", agent_id, kind, payload)


@pytest.fixture
async def played(services: Services) -> None:
    """Three agents harvested."""
    harvests = [("a-1", 5), ("b-1", 9), ("c-1", 5)]
    rows = [fact("harvest", name, n, f'{{"amount":{amount}}}') for n, (name, amount) in enumerate(harvests)]
    old = fact("harvest", "a-1", 9, '{"amount":100}', days_ago=9)
    found = fact("crossing", "c-1", 10, '{"to_chunk_id":"chunk-3"}')
    await event_log.insert(services.engine, [*rows, old, found])


@pytest.mark.usefixtures("played")
async def test_who_is_ahead_today(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/leaderboard", headers=DEV)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body.pop("since").endswith("T00:00:00Z")
    nothing = {"chunks": 0, "alive_s": 0, "here": False}
    assert body == {
        "by": "gold",
        "period": "day",
        "places": [
            {"rank": 1, "agent_id": "b-1", "gold": 9} | nothing,
            {"rank": 2, "agent_id": "c-1", "gold": 5} | nothing | {"chunks": 1},
            {"rank": 2, "agent_id": "a-1", "gold": 5} | nothing,
        ],
    }


@pytest.mark.usefixtures("played")
async def test_of_all_time_and_by_another_measure(http: httpx.AsyncClient) -> None:
    ever = (await http.get("/v1/leaderboard?period=all&limit=2", headers=DEV)).json()
    assert ever["since"] is None
    assert [(place["agent_id"], place["gold"]) for place in ever["places"]] == [("a-1", 105), ("b-1", 9)]
    chunks = (await http.get("/v1/leaderboard?by=chunks&period=week", headers=DEV)).json()
    assert [place["agent_id"] for place in chunks["places"]] == ["c-1"]
    assert (await http.get("/v1/leaderboard?by=alive", headers=DEV)).json()["places"] == []


@pytest.mark.parametrize("query", ["by=money", "period=year", "limit=0", "limit=101", "limit=x", "by=gold&by=%00"])
async def test_what_there_is_not_is_refused(http: httpx.AsyncClient, query: str) -> None:
    refused(await http.get(f"/v1/leaderboard?{query}", headers=DEV), 422, "invalid_request")


async def test_any_role_may_ask_and_nobody_without_one(http: httpx.AsyncClient) -> None:
    agent = await playing(http)
    assert (await http.get("/v1/leaderboard", headers=bearer(agent["session_token"]))).status_code == 200
    refused(await http.get("/v1/leaderboard"), 401, "invalid_session")
