from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from api.services import Services
from streaming import keys
from tests.api.people import bearer, keyed, playing, refused, session, signed_up


async def sess_key(redis: Redis, opened: dict[str, Any]) -> bytes:
    """The key of the session itself."""
    found: Any = await redis.get(keys.session_by_jti(opened["session_jti"]))
    assert found is not None
    return bytes(found)


async def rows(services: Services, jti: str) -> list[Any]:
    await services.session_log.flush()
    async with services.engine.connect() as connection:
        statement = text("SELECT * FROM sessions WHERE jti = :jti")
        return list((await connection.execute(statement, {"jti": jti})).mappings())


async def test_a_session_has_what_the_contract_says(http: httpx.AsyncClient) -> None:
    opened = await playing(http)
    assert opened["session_token"].startswith("sess_")
    assert opened["session_jti"].startswith("jti_")
    assert (opened["role"], opened["agent_id"]) == ("agent", "a-1")
    assert isinstance(opened["expires_at"], int)
    assert abs(opened["expires_at"] - time.time() - 900) < 5


async def test_it_ends_after_900_seconds_by_redis_own_clock(http: httpx.AsyncClient, redis: Redis) -> None:
    opened = await playing(http)
    key = await sess_key(redis, opened)
    for name in (key, keys.session_by_jti(opened["session_jti"])):
        assert 895_000 < await redis.pttl(name) <= 900_000


async def test_the_database_has_no_secret_of_it(http: httpx.AsyncClient, services: Services) -> None:
    opened = await playing(http)
    (row,) = await rows(services, opened["session_jti"])
    stored = " ".join(str(value) for value in row.values())
    assert opened["session_token"] not in stored
    assert opened["cmd_secret"] not in stored
    assert row["role"] == "agent"
    assert (row["expires_at"] - row["created_at"]).total_seconds() == pytest.approx(900, abs=1)


@pytest.mark.parametrize("role", ["agent", "owner_spectator"])
@pytest.mark.parametrize("agent", [{}, {"agent_id": None}])
async def test_roles_about_an_agent_need_one(http: httpx.AsyncClient, role: str, agent: dict[str, Any]) -> None:
    key = await keyed(http, await signed_up(http))
    body = {"api_key": key["api_key"], "role": role} | agent
    refused(await http.post("/v1/sessions", json=body), 400, "agent_id_required")


async def test_a_spectator_has_no_agent(http: httpx.AsyncClient) -> None:
    key = await keyed(http, await signed_up(http))
    assert (await session(http, key["api_key"], "spectator", "a-1"))["agent_id"] is None
    assert (await http.get("/v1/agents", headers=bearer(key["api_key"]))).json()["agents"] == []


@pytest.mark.parametrize("agent_id", ["", "a b", "a|b", "x" * 129, "a\n", "\u00e9", 7])
async def test_agent_ids_that_could_hide_a_separator_are_refused(http: httpx.AsyncClient, agent_id: object) -> None:
    key = await keyed(http, await signed_up(http))
    body = {"api_key": key["api_key"], "role": "agent", "agent_id": agent_id}
    refused(await http.post("/v1/sessions", json=body), 422, "invalid_request")


@pytest.mark.parametrize("role", ["admin", "", None, "Agent"])
async def test_there_are_three_roles(http: httpx.AsyncClient, role: object) -> None:
    body = {"api_key": "dcw_x", "role": role, "agent_id": "a-1"}
    refused(await http.post("/v1/sessions", json=body), 422, "invalid_request")


@pytest.mark.parametrize("spoil", [lambda k: k[:-1] + "!", lambda k: k[:-1], lambda k: "", lambda k: k[:17] + "A" * 43])
async def test_a_wrong_key_opens_nothing(http: httpx.AsyncClient, spoil: Any) -> None:
    key = await keyed(http, await signed_up(http))
    body = {"api_key": spoil(key["api_key"]), "role": "spectator"}
    refused(await http.post("/v1/sessions", json=body), 401, "invalid_api_key")


# -- ownership --


@pytest.mark.parametrize("role", ["agent", "owner_spectator"])
async def test_an_agent_is_its_first_accounts_in_any_role(
    http: httpx.AsyncClient, services: Services, redis: Redis, role: str
) -> None:
    """Whether Redis remembers it or PostgreSQL has to be asked."""
    mine, other = [await keyed(http, await signed_up(http)) for _ in range(2)]
    await session(http, mine["api_key"])
    body = {"api_key": other["api_key"], "role": role, "agent_id": "a-1"}
    refused(await http.post("/v1/sessions", json=body), 403, "agent_not_owned")
    await redis.delete(keys.agent("a-1"))
    refused(await http.post("/v1/sessions", json=body), 403, "agent_not_owned")
    await session(http, mine["api_key"], "owner_spectator")


async def test_of_ten_accounts_at_once_one_gets_the_agent(http: httpx.AsyncClient) -> None:
    people = [await keyed(http, await signed_up(http)) for _ in range(10)]
    bodies = [{"api_key": key["api_key"], "role": "agent", "agent_id": "wanted"} for key in people]
    answers = await asyncio.gather(*(http.post("/v1/sessions", json=body) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 403: 9}


@pytest.mark.parametrize("agent_id", ["demo-player", "demo-user-1", "demo-npc-7"])
async def test_demo_actors_can_not_be_taken(http: httpx.AsyncClient, agent_id: str) -> None:
    key = await keyed(http, await signed_up(http))
    body = {"api_key": key["api_key"], "role": "agent", "agent_id": agent_id}
    refused(await http.post("/v1/sessions", json=body), 403, "agent_not_owned")


# -- refresh and revoke --


async def test_refreshing_puts_off_the_end(http: httpx.AsyncClient, services: Services, redis: Redis) -> None:
    opened = await playing(http)
    key = await sess_key(redis, opened)
    await redis.hset(key, "exp", opened["expires_at"] - 500)
    for name in (key, keys.session_by_jti(opened["session_jti"])):
        await redis.pexpire(name, 400_000)
    answer = await http.post("/v1/sessions/refresh", headers=bearer(opened["session_token"]))
    assert answer.status_code == 200
    assert answer.json()["session_jti"] == opened["session_jti"]
    assert opened["expires_at"] <= answer.json()["expires_at"] <= opened["expires_at"] + 5
    for name in (key, keys.session_by_jti(opened["session_jti"])):
        assert await redis.pttl(name) > 890_000
    assert opened["session_token"] not in answer.text
    assert opened["cmd_secret"] not in answer.text


async def test_a_session_never_outlives_its_key(http: httpx.AsyncClient) -> None:
    key = await keyed(http, await signed_up(http), expires_in_s=100)
    opened = await session(http, key["api_key"])
    refreshed = (await http.post("/v1/sessions/refresh", headers=bearer(opened["session_token"]))).json()
    for told in (opened, refreshed):
        assert told["expires_at"] <= time.time() + 100


async def test_an_expired_key_opens_nothing(http: httpx.AsyncClient, services: Services) -> None:
    key = await keyed(http, await signed_up(http), expires_in_s=100)
    async with services.engine.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET expires_at = now() - interval '1 second'"))
    body = {"api_key": key["api_key"], "role": "spectator"}
    refused(await http.post("/v1/sessions", json=body), 401, "invalid_api_key")


async def test_a_revoked_session_is_dead_at_once_and_listeners_are_told(
    http: httpx.AsyncClient, services: Services, redis: Redis
) -> None:
    opened, other = await playing(http), await playing(http, "a-2")
    pubsub = redis.pubsub()
    await pubsub.subscribe("ctl:sessions")
    await pubsub.get_message(timeout=5)
    answer = await http.delete("/v1/sessions", headers=bearer(opened["session_token"]))
    assert answer.json() == {"session_jti": opened["session_jti"], "revoked": True}
    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
    assert message is not None
    assert message["data"] == f"jti {opened['session_jti']}".encode()
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    for call in (http.post("/v1/sessions/refresh", headers=bearer(opened["session_token"])),):
        refused(await call, 401, "invalid_session")
    refused(await http.delete("/v1/sessions", headers=bearer(opened["session_token"])), 401, "invalid_session")
    assert (await rows(services, opened["session_jti"]))[0]["revoked_at"] is not None
    assert (await rows(services, other["session_jti"]))[0]["revoked_at"] is None
    assert await services.auth.still_alive([opened["session_jti"], other["session_jti"]]) == {other["session_jti"]}


async def test_a_refresh_and_a_revocation_at_once_leave_no_live_session(http: httpx.AsyncClient) -> None:
    opened = await playing(http)
    headers = bearer(opened["session_token"])
    calls = [http.post("/v1/sessions/refresh", headers=headers) for _ in range(5)]
    await asyncio.gather(http.delete("/v1/sessions", headers=headers), *calls)
    refused(await http.post("/v1/sessions/refresh", headers=headers), 401, "invalid_session")


async def test_the_fixed_token_can_be_refreshed_and_not_revoked(http: httpx.AsyncClient) -> None:
    headers = bearer("test-spectator-token")
    assert (await http.post("/v1/sessions/refresh", headers=headers)).json()["role"] == "spectator"
    assert (await http.delete("/v1/sessions", headers=headers)).json()["revoked"] is False
    assert (await http.post("/v1/sessions/refresh", headers=headers)).status_code == 200


async def test_opening_needs_no_database_once_key_and_agent_are_known(
    http: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await keyed(http, await signed_up(http))
    await session(http, key["api_key"])
    await services.session_log.flush()
    monkeypatch.setattr(services.key_ring, "_engine", None)
    services.engine, engine = None, services.engine  # type: ignore[assignment]
    await session(http, key["api_key"])
    services.engine = engine


async def test_the_sessions_of_one_key_are_bounded(
    http: httpx.AsyncClient, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.accounts.sessions.SESSIONS_PER_KEY_MAX", 2)
    key = await keyed(http, await signed_up(http))
    for _ in range(2):
        await session(http, key["api_key"], "spectator")
    answer = await http.post("/v1/sessions", json={"api_key": key["api_key"], "role": "spectator"})
    refused(answer, 429, "too_many_sessions")
    assert int(answer.headers["retry-after"]) >= 1
    # Expired ones make room.
    index = f"keysess:{key['key_id']}"
    first: Any = await redis.zrange(index, 0, 0)
    await redis.zadd(index, {first[0]: 1})
    await session(http, key["api_key"], "spectator")
