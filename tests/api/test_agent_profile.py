"""An agent as everybody may see it, and finding one: what is shown, what is not, who may ask."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.services import Services
from store import event_log, standings
from store.event_log import LogRow
from streaming import keys
from streaming.shared_clock import utc_now
from tests.api.people import bearer, keyed, playing, refused, session, signed_up

DEV = bearer("test-spectator-token")


def fact(kind: str, number: int, payload: str = "{}", agent_id: str = "a-1") -> LogRow:
    ms = standings.ms_of(utc_now())
    return LogRow(f"{ms}-{number}", "run_1", number, "chunk-0", agent_id, kind, payload)


async def seat(redis: Any, agent_id: str = "a-1", *, here: bool = True) -> None:
    record = {"x": 3, "y": 4, "gold": 7, "recent": ["cmd-1"], "running": {"server_cmd_id": "srv-1"}}
    fields = {"account": "acc_1", "chunk": "chunk-5", "here": "1" if here else "0", "rec": json.dumps(record)}
    await redis.hset(keys.agent(agent_id), mapping=fields)


async def test_what_everybody_may_see_of_an_agent(http: httpx.AsyncClient, services: Services, redis: Redis) -> None:
    await seat(redis)
    await event_log.insert(
        services.engine,
        [
            fact("harvest", 1, '{"amount":3}'),
            fact("chat", 2, '{"text":"hello"}'),
            fact("chat", 3, '{"text":"<b>gold</b>"}'),
            fact("chat", 4, '{"text":"not me"}', agent_id="b-1"),
        ],
    )
    answer = await http.get("/v1/agents/a-1/profile", headers=DEV)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    said = body.pop("says")
    assert [(one["text"], one["chunk_id"]) for one in said] == [("<b>gold</b>", "chunk-0"), ("hello", "chunk-0")]
    sums = {"gold": 3, "chunks": 0, "alive_s": 0}
    assert body == {
        "agent_id": "a-1",
        "here": True,
        "chunk_id": "chunk-5",
        "x": 3,
        "y": 4,
        "gold": 7,
        "standing": {"day": sums, "week": sums, "all": sums},
        "thinks": None,
    }
    assert not any(secret in answer.text for secret in ("acc_1", "srv-1", "cmd-1"))


async def test_what_it_thinks_is_its_owners_to_show(
    http: httpx.AsyncClient, services: Services, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await signed_up(http)
    key = await keyed(http, person)
    await session(http, key["api_key"])
    await seat(redis)
    for text in ("north looks rich", "a foul word"):
        thought = {"text": text, "doing": "go_to"}
        answer = await http.post("/v1/agents/a-1/thoughts", json=thought, headers=person.bearer)
        assert answer.status_code == 201, answer.text

    async def shown() -> Any:
        return (await http.get("/v1/agents/a-1/profile", headers=DEV)).json()["thinks"]

    assert await shown() is None
    await http.patch("/v1/agents/a-1", json={"thoughts_public": True}, headers=person.bearer)
    monkeypatch.setattr(services.words, "find", lambda line: 1 if "foul" in line else None)
    [one] = await shown()
    assert (one["text"], one["doing"], one["chunk_id"]) == ("north looks rich", "go_to", "chunk-5")
    await http.patch("/v1/agents/a-1", json={"thoughts_public": False}, headers=person.bearer)
    assert await shown() is None


async def test_one_that_is_away_and_one_that_never_was(http: httpx.AsyncClient, redis: Redis) -> None:
    await seat(redis, here=False)
    body = (await http.get("/v1/agents/a-1/profile", headers=DEV)).json()
    assert (body["here"], body["chunk_id"], body["x"], body["y"], body["gold"]) == (False, "chunk-5", None, None, 7)
    refused(await http.get("/v1/agents/nobody/profile", headers=DEV), 404, "agent_not_found")
    refused(await http.get("/v1/agents/no%20body/profile", headers=DEV), 422, "invalid_request")


async def test_one_that_was_claimed_and_never_played_is_nobody(http: httpx.AsyncClient) -> None:
    await playing(http, "mine")
    refused(await http.get("/v1/agents/mine/profile", headers=DEV), 404, "agent_not_found")
    assert (await http.get("/v1/find/agents?prefix=mi", headers=DEV)).json() == {"agents": [], "more": False}


async def test_what_was_banned_since_is_not_shown(
    http: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    await event_log.insert(
        services.engine,
        [fact("join", 0), fact("chat", 1, '{"text":"a foul word"}'), fact("chat", 2, '{"text":"fine"}')],
    )
    monkeypatch.setattr(services.words, "find", lambda line: 1 if "foul" in line else None)
    body = (await http.get("/v1/agents/a-1/profile", headers=DEV)).json()
    assert [one["text"] for one in body["says"]] == ["fine"]


async def test_agents_are_found_wherever_they_are(http: httpx.AsyncClient, services: Services, redis: Redis) -> None:
    names = ["scout-1", "Scout-2", "scout-3", "other"]
    await event_log.insert(services.engine, [fact("join", n, agent_id=name) for n, name in enumerate(names)])
    await seat(redis, "scout-1")
    found = (await http.get("/v1/find/agents?prefix=SCOUT&limit=2", headers=DEV)).json()
    assert found == {
        "agents": [
            {"agent_id": "scout-1", "here": True, "chunk_id": "chunk-5"},
            {"agent_id": "Scout-2", "here": False, "chunk_id": None},
        ],
        "more": True,
    }
    assert (await http.get("/v1/find/agents?prefix=nobody", headers=DEV)).json() == {"agents": [], "more": False}


@pytest.mark.parametrize("query", ["", "prefix=", "prefix=%25", "prefix=a%00", "prefix=a%0A", "prefix=a&limit=21"])
async def test_what_can_be_no_beginning_of_a_name_is_refused(http: httpx.AsyncClient, query: str) -> None:
    refused(await http.get(f"/v1/find/agents?{query}", headers=DEV), 422, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/find/agents?prefix=a", "/v1/agents/a-1/profile"])
async def test_nobody_without_a_session(http: httpx.AsyncClient, path: str) -> None:
    refused(await http.get(path), 401, "invalid_session")
