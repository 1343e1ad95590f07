from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from api.app import create_app
from api.services import Services
from config.settings import Settings
from store import agents
from tests.api.people import PASSWORD, bearer, keyed, refused, session, signed_up
from tests.api.support import FakeWorld

# -- signup --


async def test_signup_gives_an_account_and_a_token_that_works(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/signup", json={"email": " Bob@X.org ", "password": PASSWORD})
    assert answer.status_code == 201
    body = answer.json()
    assert body["email"] == "bob@x.org"
    assert body["account_id"].startswith("acc_")
    assert (await http.get("/v1/keys", headers=bearer(body["account_token"]))).json() == {"keys": []}


@pytest.mark.parametrize("twin", ["bob@x.org", "Bob@x.org", "bob@X.ORG", " bob@x.org", "\uff42ob@x.org"])
async def test_an_email_is_taken_in_any_writing(http: httpx.AsyncClient, twin: str) -> None:
    await signed_up(http, "bob@x.org")
    refused(await http.post("/v1/signup", json={"email": twin, "password": "password123"}), 409, "email_already_exists")


@pytest.mark.parametrize(
    "twin", ["bob\u200b@x.org", "b\u043eb@x.org", "jos\u00e9@x.org", "bob", "", "a\0@x.org", None, 7]
)
async def test_an_email_that_can_not_be_used_is_refused_and_not_echoed(http: httpx.AsyncClient, twin: object) -> None:
    answer = await http.post("/v1/signup", json={"email": twin, "password": PASSWORD})
    refused(answer, 422, "invalid_request")
    assert answer.json()["errors"][0]["loc"] == ["body", "email"]
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("password", ["", "short77", "x" * 129, None, 12345678, ["password123"]])
async def test_passwords_have_8_to_128_characters(http: httpx.AsyncClient, password: object) -> None:
    answer = await http.post("/v1/signup", json={"email": "p@x.org", "password": password})
    refused(answer, 422, "invalid_request")
    assert answer.json()["errors"][0]["loc"] == ["body", "password"]


@pytest.mark.parametrize("password", ["x" * 8, "x" * 128, "\U0001f600" * 8, "a: b:c \u0000\n", "pa\u0301sswo\u0308rd"])
async def test_any_such_password_logs_in(http: httpx.AsyncClient, password: str) -> None:
    body = {"email": "q@x.org", "password": password}
    assert (await http.post("/v1/signup", json=body)).status_code == 201
    assert (await http.get("/v1/keys", auth=("Q@x.org", password))).status_code == 200


async def test_of_twenty_signups_over_two_gateways_one_wins(
    settings: Settings, services: Services, world: FakeWorld
) -> None:
    """One 201, nineteen 409 with the very body of a sequential duplicate, no 5xx; then fifty requests that work."""
    second = Services.build(settings, world)
    clients = [
        httpx.AsyncClient(transport=httpx.ASGITransport(create_app(part)), base_url="http://localhost")
        for part in (services, second)
    ]
    body = {"email": "race@x.org", "password": PASSWORD}
    answers = await asyncio.gather(*(clients[n % 2].post("/v1/signup", json=body) for n in range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    later = await clients[0].post("/v1/signup", json=body)
    assert {answer.text for answer in answers if answer.status_code == 409} == {later.text}
    winner = next(answer.json() for answer in answers if answer.status_code == 201)
    for n in range(50):
        answer = await clients[n % 2].get("/v1/keys", headers=bearer(winner["account_token"]))
        assert answer.status_code == 200
    for client in clients:
        await client.aclose()
    async with second.engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM accounts WHERE email = 'race@x.org'")) == 1
    await second.close()


async def test_too_many_passwords_at_once_are_refused_for_now(http: httpx.AsyncClient, services: Services) -> None:
    services.passwords.close()
    services.passwords = type(services.passwords)("pepper", processes=1, queue_max=2)
    answers = await asyncio.gather(
        *(http.post("/v1/signup", json={"email": f"p{n}@x.org", "password": PASSWORD}) for n in range(12))
    )
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {201, 503}
    assert statuses[201] >= 3
    for answer in answers:
        if answer.status_code == 503:
            refused(answer, 503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1


async def test_a_flood_of_passwords_is_none_of_queries(
    http: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can't be hashed is refused before the database, the limits and the body; others are served as ever."""
    asked = 0

    async def count(*_: object) -> bool:
        nonlocal asked
        asked += 1
        return False

    monkeypatch.setattr("store.accounts.exists", count)
    with ExitStack() as places:
        while not services.passwords.full:
            places.enter_context(services.passwords.place())
        origin = {"origin": services.settings.allowed_origins[0]}
        for answer in (
            await http.post("/v1/signup", json={"email": "a@x.org", "password": PASSWORD}, headers=origin),
            await http.post("/v1/signup", content=b"no json", headers=origin),
            await http.get("/v1/keys", auth=("a@x.org", PASSWORD), headers=origin),
        ):
            refused(answer, 503, "overloaded")
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["x-trace-id"]
            assert answer.headers["access-control-allow-origin"] == origin["origin"]
        refused(await http.get("/v1/keys"), 401, "invalid_session")
        refused(await http.get("/v1/signup"), 405, "method_not_allowed")
    assert asked == 0
    assert (await http.post("/v1/signup", json={"email": "a@x.org", "password": PASSWORD})).status_code == 201
    assert asked == 1


# -- credentials --


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "invalid_session"),
        ("", "invalid_session"),
        ("Bearer", "invalid_session"),
        ("Bearer dca_unknown", "invalid_session"),
        ("Bearer a b", "invalid_session"),
        ("Digest x", "invalid_session"),
        ("Basic", "invalid_session"),
        ("Basic !!!", "invalid_credentials"),
        ("Basic bm9jb2xvbg==", "invalid_credentials"),
        ("Basic /w==", "invalid_credentials"),
        ("Basic " + "QQ" * 2000, "invalid_credentials"),
    ],
)
async def test_account_calls_need_credentials(http: httpx.AsyncClient, header: str | None, reason: str) -> None:
    headers = {} if header is None else {"authorization": header}
    calls = [
        http.get("/v1/keys", headers=headers),
        http.post("/v1/keys", json={"account_id": "acc_1"}, headers=headers),
        http.delete("/v1/keys/key_1", headers=headers),
        http.get("/v1/agents", headers=headers),
    ]
    for answer in await asyncio.gather(*calls):
        refused(answer, 401, reason)
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_older_client_that_sends_no_credentials_gets_401(http: httpx.AsyncClient) -> None:
    """Also with e-mail and password in the body, where they do not count."""
    person = await signed_up(http)
    body = {"account_id": person.account_id, "label": "x", "email": person.email, "password": PASSWORD}
    refused(await http.post("/v1/keys", json=body), 401, "invalid_session")


async def test_wrong_password_and_unknown_email_look_alike(http: httpx.AsyncClient) -> None:
    person = await signed_up(http)
    wrong = await http.get("/v1/keys", auth=(person.email, "not the password"))
    unknown = await http.get("/v1/keys", auth=("nobody@x.org", "not the password"))
    refused(wrong, 401, "invalid_credentials")
    assert wrong.text == unknown.text


async def test_a_password_may_hold_colons_and_the_email_any_casing(http: httpx.AsyncClient) -> None:
    await http.post("/v1/signup", json={"email": "c@x.org", "password": "a:b:c:d:e"})
    assert (await http.get("/v1/keys", auth=("C@X.ORG", "a:b:c:d:e"))).status_code == 200


# -- keys --


async def test_a_key_is_shown_once_and_listed_without_itself(http: httpx.AsyncClient) -> None:
    person = await signed_up(http)
    key = await keyed(http, person, label="bot \U0001f916")
    assert key["api_key"].startswith(key["key_prefix"] + "_")
    listed = await http.get("/v1/keys", headers=person.bearer)
    once = ("api_key", "account_id")
    assert listed.json()["keys"] == [{name: value for name, value in key.items() if name not in once}]
    assert key["api_key"] not in listed.text
    assert key["label"] == "bot \U0001f916"


async def test_times_are_printed_with_their_offset(http: httpx.AsyncClient) -> None:
    key = await keyed(http, await signed_up(http), expires_in_s=900)
    created, expires = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    assert created.utcoffset() == timedelta(0)
    assert abs((expires - created).total_seconds() - 900) < 5
    assert abs((created - datetime.now(UTC)).total_seconds()) < 60


async def test_a_key_is_made_for_oneself_only(http: httpx.AsyncClient) -> None:
    person, other = await signed_up(http), await signed_up(http)
    body = {"account_id": other.account_id}
    refused(await http.post("/v1/keys", json=body, headers=person.bearer), 403, "invalid_scope")


async def test_the_credentials_alone_say_whose_key_it_is(http: httpx.AsyncClient) -> None:
    person = await signed_up(http)
    by_token = await http.post("/v1/keys", json={}, headers=person.bearer)
    by_password = await http.post("/v1/keys", json={"account_id": None}, auth=(person.email, PASSWORD))
    assert [answer.status_code for answer in (by_token, by_password)] == [201, 201]
    assert {answer.json()["account_id"] for answer in (by_token, by_password)} == {person.account_id}
    refused(await http.post("/v1/keys", json={}), 401, "invalid_session")


@pytest.mark.parametrize(
    "more", [{"label": "a\nb"}, {"label": "x" * 65}, {"label": 7}, {"expires_in_s": 0}, {"expires_in_s": 10**12}]
)
async def test_labels_and_lives_have_their_bounds(http: httpx.AsyncClient, more: dict[str, object]) -> None:
    person = await signed_up(http)
    answer = await http.post("/v1/keys", json={"account_id": person.account_id} | more, headers=person.bearer)
    refused(answer, 422, "invalid_request")


async def test_of_twenty_keys_at_once_exactly_the_limit_is_made(http: httpx.AsyncClient, services: Services) -> None:
    services.settings = services.settings.model_copy(update={"account_keys_max": 3})
    person = await signed_up(http)
    body = {"account_id": person.account_id}
    answers = await asyncio.gather(*(http.post("/v1/keys", json=body, headers=person.bearer) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 3, 409: 17}
    refused(next(answer for answer in answers if answer.status_code == 409), 409, "key_limit_reached")
    first = next(answer.json() for answer in answers if answer.status_code == 201)
    assert (await http.delete(f"/v1/keys/{first['key_id']}", headers=person.bearer)).status_code == 200
    await keyed(http, person)
    refused(await http.post("/v1/keys", json=body, headers=person.bearer), 409, "key_limit_reached")


async def test_a_revoked_key_opens_no_session_and_those_it_opened_end(
    http: httpx.AsyncClient, services: Services, redis: Redis
) -> None:
    """On every gateway at once, whatever its cache holds; listeners are told by the key's id."""
    person = await signed_up(http)
    key, spared = await keyed(http, person), await keyed(http, person)
    opened = [await session(http, key["api_key"], agent_id=f"a-{n}") for n in range(3)]
    other = await session(http, spared["api_key"], agent_id="a-9")
    pubsub = redis.pubsub()
    await pubsub.subscribe("ctl:sessions")
    await pubsub.get_message(timeout=5)
    revoked = await http.delete(f"/v1/keys/{key['key_id']}", headers=person.bearer)
    assert revoked.json()["revoked_at"] is not None
    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
    assert message is not None
    assert message["data"] == f"key {key['key_id']}".encode()
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    body = {"api_key": key["api_key"], "role": "spectator"}
    refused(await http.post("/v1/sessions", json=body), 401, "invalid_api_key")
    for one in opened:
        answer = await http.post("/v1/sessions/refresh", headers=bearer(one["session_token"]))
        refused(answer, 401, "invalid_session")
    jtis = {one["session_jti"] for one in opened}
    assert await services.auth.still_alive([*jtis, other["session_jti"]]) == {other["session_jti"]}


async def test_a_stale_cache_does_not_open_a_session_for_a_revoked_key(
    http: httpx.AsyncClient, settings: Settings, world: FakeWorld, redis: Redis
) -> None:
    """The other gateway proved the key a moment ago and asks the database no more."""
    person = await signed_up(http)
    key = await keyed(http, person)
    second = Services.build(settings, world)
    body = {"api_key": key["api_key"], "role": "spectator"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(second)), base_url="http://g2") as other:
        assert (await other.post("/v1/sessions", json=body)).status_code == 201
        await http.delete(f"/v1/keys/{key['key_id']}", headers=person.bearer)
        assert (await second.key_ring.prove(key["api_key"])).revoked_at is None
        refused(await other.post("/v1/sessions", json=body), 401, "invalid_api_key")
    await second.close()


async def test_revoking_again_changes_nothing_and_a_strangers_key_is_not_found(http: httpx.AsyncClient) -> None:
    person, stranger = await signed_up(http), await signed_up(http)
    key = await keyed(http, person)
    refused(await http.delete(f"/v1/keys/{key['key_id']}", headers=stranger.bearer), 404, "key_not_found")
    first = await http.delete(f"/v1/keys/{key['key_id']}", headers=person.bearer)
    assert (await http.delete(f"/v1/keys/{key['key_id']}", headers=person.bearer)).json() == first.json()
    for unknown in ("key_none", "%00", "a%20b", "x" * 64):
        refused(await http.delete(f"/v1/keys/{unknown}", headers=person.bearer), 404, "key_not_found")


# -- agents --


async def test_agents_are_listed_for_the_account_and_for_its_key(http: httpx.AsyncClient) -> None:
    person = await signed_up(http)
    key = await keyed(http, person)
    for agent_id in ("b", "a", "c"):
        await session(http, key["api_key"], agent_id=agent_id)
    for headers in (person.bearer, bearer(key["api_key"])):
        listed = (await http.get("/v1/agents", headers=headers)).json()
        assert [agent["agent_id"] for agent in listed["agents"]] == ["a", "b", "c"]
        assert listed["next"] is None
    page = (await http.get("/v1/agents?limit=2", headers=person.bearer)).json()
    assert page["next"] == "b"
    rest = (await http.get("/v1/agents?limit=2&after=b", headers=person.bearer)).json()
    assert [agent["agent_id"] for agent in rest["agents"]] == ["c"]


async def test_an_owner_says_whether_thoughts_are_public(http: httpx.AsyncClient, services: Services) -> None:
    person, stranger = await signed_up(http), await signed_up(http)
    key = await keyed(http, person)
    opened = await session(http, key["api_key"], agent_id="a-1")

    async def shown() -> list[bool]:
        listed = (await http.get("/v1/agents", headers=person.bearer)).json()["agents"]
        return [agent["thoughts_public"] for agent in listed]

    assert await shown() == [False]
    for headers, public in ((person.bearer, True), (bearer(key["api_key"]), False), (person.bearer, True)):
        answer = await http.patch("/v1/agents/a-1", json={"thoughts_public": public}, headers=headers)
        assert (answer.status_code, answer.json()["agent_id"], answer.json()["thoughts_public"]) == (200, "a-1", public)
        assert await shown() == [public]
        assert await agents.thoughts_are_public(services.engine, "a-1") is public
    off = {"thoughts_public": False}
    refused(await http.patch("/v1/agents/a-1", json=off, headers=stranger.bearer), 403, "agent_not_owned")
    refused(await http.patch("/v1/agents/a-2", json=off, headers=person.bearer), 404, "agent_not_found")
    refused(await http.patch("/v1/agents/a-1", json=off), 401, "invalid_session")
    refused(
        await http.patch("/v1/agents/a-1", json=off, headers=bearer(opened["session_token"])), 401, "invalid_session"
    )
    wrongs: list[object] = [{}, {"thoughts_public": "yes"}, {"thoughts_public": None}, []]
    for wrong in wrongs:
        refused(await http.patch("/v1/agents/a-1", json=wrong, headers=person.bearer), 422, "invalid_request")
    assert await shown() == [True]


async def test_a_dead_key_lists_nothing(http: httpx.AsyncClient) -> None:
    person = await signed_up(http)
    key = await keyed(http, person)
    await http.delete(f"/v1/keys/{key['key_id']}", headers=person.bearer)
    for token in (key["api_key"], "dcw_000000000000_" + "x" * 43):
        refused(await http.get("/v1/agents", headers=bearer(token)), 401, "invalid_api_key")
