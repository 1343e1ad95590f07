"""``GET /v1/agents/{agent_id}/history``: whose it is, pages, times and kinds; that indexes are used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.services import Services
from store import event_log
from store.event_log import LogRow
from tests.api.people import Person, bearer, keyed, refused, session, signed_up

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATH = "/v1/agents/a-1/history"


def fact(number: int, kind: str = "chat", *, agent_id: str = "a-1", payload: str = '{"text":"hi"}') -> LogRow:
    """A fact, three of them in a millisecond."""
    ms = int(NOON.timestamp() * 1000) + number // 3
    return LogRow(f"{ms}-{number % 3 + 9}", "run_1", 40 + number, "chunk-0", agent_id, kind, payload)


async def owned(http: httpx.AsyncClient, agent_id: str = "a-1") -> tuple[Person, dict[str, Any], dict[str, Any]]:
    """An account that has an agent, its key, and a session of the agent."""
    person = await signed_up(http)
    key = await keyed(http, person)
    return person, key, await session(http, key["api_key"], agent_id=agent_id)


async def pages(http: httpx.AsyncClient, token: str, **query: Any) -> list[list[dict[str, Any]]]:
    found = []
    before: dict[str, str] = {}
    while True:
        answer = await http.get(PATH, params=query | before, headers=bearer(token))
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["entries"])
        if answer.json()["next"] is None:
            return found
        before = {"before": answer.json()["next"]}


async def test_its_owner_reads_it_by_every_credential(http: httpx.AsyncClient, services: Services) -> None:
    person, key, playing = await owned(http)
    following = await session(http, key["api_key"], role="owner_spectator")
    await event_log.insert(services.engine, [fact(0, "join", payload='{"x":25,"y":26}')])
    credentials = [person.account_token, key["api_key"], playing["session_token"], following["session_token"]]
    for credential in credentials:
        answer = await http.get(PATH, headers=bearer(credential))
        assert answer.json() == {
            "agent_id": "a-1",
            "entries": [
                {
                    "entry_id": fact(0).entry_id,
                    "at": "2026-03-01T12:00:00Z",
                    "tick": 40,
                    "chunk_id": "chunk-0",
                    "agent_id": "a-1",
                    "kind": "join",
                    "details": {"x": 25, "y": 26},
                }
            ],
            "next": None,
        }


async def test_nobody_else_reads_it(http: httpx.AsyncClient, services: Services) -> None:
    await owned(http)
    _, other_key, other = await owned(http, "b-1")
    watching = await session(http, other_key["api_key"], role="spectator", agent_id=None)
    refused(await http.get(PATH), 401, "invalid_session")
    refused(await http.get(PATH, headers=bearer("sess_" + "x" * 43)), 401, "invalid_session")
    refused(await http.get(PATH, headers=bearer("dcw_" + "x" * 60)), 401, "invalid_api_key")
    refused(await http.get(PATH, headers=bearer(other_key["api_key"])), 403, "agent_not_owned")
    refused(await http.get(PATH, headers=bearer(other["session_token"])), 403, "agent_mismatch")
    refused(await http.get(PATH, headers=bearer(watching["session_token"])), 403, "invalid_scope")
    unknown = await http.get("/v1/agents/nobody/history", headers=bearer(other_key["api_key"]))
    refused(unknown, 404, "agent_not_found")


async def test_pages_give_each_entry_once_newest_first(http: httpx.AsyncClient, services: Services) -> None:
    _, key, _ = await owned(http)
    facts = [fact(number) for number in range(11)] + [fact(90, agent_id="b-1")]
    await event_log.insert(services.engine, facts)
    found = await pages(http, key["api_key"], limit=4)
    assert [len(page) for page in found] == [4, 4, 3]
    assert [entry["entry_id"] for page in found for entry in page] == [row.entry_id for row in reversed(facts[:11])]
    assert [len(page) for page in await pages(http, key["api_key"], limit=11)] == [11]


async def test_what_it_was_given_is_part_of_it(http: httpx.AsyncClient, services: Services) -> None:
    _, key, _ = await owned(http)
    gifts = [
        fact(0, "give", agent_id="b-1", payload='{"to":"a-1","amount":3,"gold":4}'),
        fact(1, "give", payload='{"to":"b-1","amount":1,"gold":2}'),
        fact(2, "give", agent_id="b-1", payload='{"to":"c-1","amount":9,"gold":1}'),
    ]
    await event_log.insert(services.engine, [*gifts, fact(3)])
    [[chat, given, received]] = await pages(http, key["api_key"])
    assert (chat["kind"], given["details"]["to"], received["agent_id"]) == ("chat", "b-1", "b-1")
    [[one], [other]] = await pages(http, key["api_key"], kind=["give", "harvest"], limit=1)
    assert [one["details"]["amount"], other["details"]["amount"]] == [1, 3]


async def test_times_have_a_first_and_a_last_moment(http: httpx.AsyncClient, services: Services) -> None:
    _, key, _ = await owned(http)
    await event_log.insert(services.engine, [fact(number) for number in range(9)])
    second = (NOON + timedelta(milliseconds=1)).isoformat()
    third = (NOON + timedelta(milliseconds=2)).replace(tzinfo=None).isoformat()
    [found] = await pages(http, key["api_key"], since=second, until=third)
    assert [entry["tick"] for entry in found] == [45, 44, 43]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("before", "1-"),
        ("before", "-1-1"),
        ("before", "1-1-1"),
        ("before", "٣-1"),
        ("before", "9" * 15 + "-1"),
        ("before", "1-" + "9" * 19),
        ("since", "yesterday"),
        ("until", "9999-12-31T23:59:59-10:00"),
        ("since", "0001-01-01T00:00:00+10:00"),
        ("kind", "gossip"),
        ("limit", "0"),
        ("limit", "1001"),
    ],
)
async def test_what_can_not_be_meant_is_refused(http: httpx.AsyncClient, name: str, value: str) -> None:
    _, key, _ = await owned(http)
    answer = await http.get(PATH, params={name: value}, headers=bearer(key["api_key"]))
    refused(answer, 422, "invalid_request")
    assert answer.json()["errors"][0]["loc"][:2] == ["query", name]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0", "253402300799"])
async def test_the_ends_of_time_are_no_trouble(http: httpx.AsyncClient, moment: str) -> None:
    _, key, _ = await owned(http)
    for name in ("since", "until"):
        answer = await http.get(PATH, params={name: moment}, headers=bearer(key["api_key"]))
        assert answer.json()["entries"] == [], answer.text
    edge = {"before": "253402300799999-9223372036854775807"}
    assert (await http.get(PATH, params=edge, headers=bearer(key["api_key"]))).status_code == 200


async def test_an_account_reads_so_much_and_no_more(http: httpx.AsyncClient, services: Services) -> None:
    _, key, _ = await owned(http)
    _, other, _ = await owned(http, "b-1")
    services.limits._rules = services.limits._rules.__class__.of(
        services.settings.model_copy(update={"limit_account_history": "2+1/h"})
    )
    for _ in range(2):
        assert (await http.get(PATH, headers=bearer(key["api_key"]))).status_code == 200
    refused(await http.get(PATH, headers=bearer(key["api_key"])), 429, "rate_limited")
    assert (await http.get("/v1/agents/b-1/history", headers=bearer(other["api_key"]))).status_code == 200
