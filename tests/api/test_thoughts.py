"""What agents think: whose it is, moderation, and that it is part of the history."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from api.limits.word_file import DEFAULT_LIST
from api.services import Services
from store import bans, event_log
from streaming import keys
from streaming.shared_clock import utc_now
from tests.api.people import bearer, keyed, playing, refused, session, signed_up
from tests.api.test_history import fact

PATH = "/v1/agents/a-1/thoughts"


async def thought(http: httpx.AsyncClient, token: str, text: str, **more: object) -> httpx.Response:
    return await http.post(PATH, json={"text": text} | more, headers=bearer(token))


async def test_what_it_thinks_is_kept_for_its_owner(http: httpx.AsyncClient, services: Services) -> None:
    key = await keyed(http, await signed_up(http))
    token = (await session(http, key["api_key"]))["session_token"]
    await services.redis.hset(keys.agent("a-1"), mapping={"chunk": "chunk-7", "at": "42"})
    kept = await thought(http, token, "gold\n in the\u202e north", doing="go_to")
    assert kept.status_code == 201, kept.text
    assert (kept.json()["text"], kept.json()["chunk_id"]) == ("gold in the north", "chunk-7")
    await thought(http, token, "next")
    page = (await http.get(PATH, params={"limit": 1}, headers=bearer(key["api_key"]))).json()
    assert [one["text"] for one in page["thoughts"]] == ["next"]
    older = (await http.get(PATH, params={"before": page["next"]}, headers=bearer(key["api_key"]))).json()
    assert older == {"agent_id": "a-1", "thoughts": [kept.json()], "next": None}


async def test_it_is_part_of_the_history(http: httpx.AsyncClient, services: Services) -> None:
    token = (await playing(http))["session_token"]
    await event_log.insert(services.engine, [fact(number) for number in range(3)])
    for number in range(3):
        await thought(http, token, f"line {number}", doing="explore")
    found: list[dict[str, object]] = []
    query: dict[str, str] = {}
    while True:
        answer = (await http.get("/v1/agents/a-1/history", params={"limit": "2"} | query, headers=bearer(token))).json()
        found += answer["entries"]
        if answer["next"] is None:
            break
        query = {"before": answer["next"]}
    assert [entry["kind"] for entry in found] == ["thought"] * 3 + ["chat"] * 3
    assert len({str(entry["entry_id"]) for entry in found}) == 6
    assert found[0]["details"] == {"text": "line 2", "doing": "explore"}
    params = {"kind": ["thought"], "until": (utc_now() + timedelta(hours=1)).isoformat()}
    only = await http.get("/v1/agents/a-1/history", params=params, headers=bearer(token))
    assert [entry["details"]["text"] for entry in only.json()["entries"]] == ["line 2", "line 1", "line 0"]


async def test_nobody_else_reads_or_writes_it(http: httpx.AsyncClient) -> None:
    await playing(http)
    other = (await playing(http, "b-1"))["session_token"]
    for answer in (await thought(http, other, "hello"), await http.get(PATH, headers=bearer(other))):
        refused(answer, 403, "agent_mismatch")
    other_key = (await keyed(http, await signed_up(http)))["api_key"]
    refused(await thought(http, other_key, "hello"), 403, "agent_not_owned")
    refused(await http.post(PATH, json={"text": "hello"}), 401, "invalid_session")


@pytest.mark.parametrize("text", ["", "\n\t", "x" * 281, "\ud800", "x" * 5000])
async def test_a_line_that_can_not_be_shown_is_refused(http: httpx.AsyncClient, text: str) -> None:
    token = (await playing(http))["session_token"]
    body = b'{"text":"\\ud800"}' if text == "\ud800" else None
    if body is None:
        refused(await thought(http, token, text), 422, "invalid_request")
    else:
        answer = await http.post(PATH, content=body, headers=bearer(token) | {"content-type": "application/json"})
        refused(answer, 422, "invalid_request")


async def test_banned_words_are_refused_and_mute(http: httpx.AsyncClient, services: Services) -> None:
    token = (await playing(http))["session_token"]
    banned = next(line for line in DEFAULT_LIST.read_text().splitlines() if line.isalpha())
    for _ in range(services.settings.strikes_max):
        refused(await thought(http, token, f"what a {banned}"), 403, "banned_words")
    muted = await thought(http, token, "nothing bad")
    refused(muted, 429, "muted")
    assert int(muted.headers["retry-after"]) > 500
    assert (await http.get(PATH, headers=bearer(token))).json()["thoughts"] == []


async def test_who_is_banned_adds_nothing_to_what_others_read(http: httpx.AsyncClient, services: Services) -> None:
    person = await signed_up(http)
    key = (await keyed(http, person))["api_key"]
    token = (await session(http, key))["session_token"]
    await bans.ban(services.engine, "account", person.account_id, reason="", by="alice", minutes=None)
    await services.bans.read()
    for credentials in (token, key):
        refused(await thought(http, credentials, "hello"), 403, "banned")
        note = {"text": "x"}
        refused(await http.put("/v1/agents/a-1/notes/x", json=note, headers=bearer(credentials)), 403, "banned")
    assert (await http.get(PATH, headers=bearer(key))).json()["thoughts"] == []
