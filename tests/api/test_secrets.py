"""A whole run at debug level, then every secret it issued is looked for in everything it left behind (pitfall B22)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import inspect, text

from api.accounts.auth import Session
from api.services import Services
from api.sockets.frames import CommandAnswer, parse_frame
from streaming import keys
from tests.api.people import bearer, session
from tests.api.support import Handler, answer, answer_to, exposition, frame, frame_text, request

PASSWORD = "Very-Secret-Password-0xC0FFEE"
WRONG_PASSWORD = "Wrong-Secret-Password-0xBADBAD"
SHOWN = 20


async def dump(services: Services) -> str:
    """Everything in the database, as text."""
    async with services.engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        rows = [await connection.execute(text(f'SELECT row_to_json(t)::text FROM "{table}" t')) for table in tables]
        return "\n".join(row[0] for found in rows for row in found)


async def use_everything(
    http: httpx.AsyncClient, services: Services, redis: Redis
) -> tuple[dict[str, str], list[httpx.Response]]:
    """Signs up, logs in, plays, errs; gives back the secrets and the answers that must not hold them."""
    body = {"email": "secrets@x.org", "password": PASSWORD}
    account = (await http.post("/v1/signup", json=body)).json()
    headers = bearer(account["account_token"])
    key = (await http.post("/v1/keys", json={"account_id": account["account_id"]}, headers=headers)).json()
    opened = await session(http, key["api_key"])
    secrets = {
        "password": PASSWORD,
        "wrong password": WRONG_PASSWORD,
        "account token": account["account_token"],
        "api key": key["api_key"].removeprefix(key["key_prefix"]),
        "session token": opened["session_token"],
        "command secret": opened["cmd_secret"],
    }
    token = bearer(opened["session_token"])
    answers = [
        await http.get("/v1/keys", headers=headers),
        await http.get("/v1/keys", auth=("secrets@x.org", WRONG_PASSWORD)),
        await http.get("/v1/keys", headers={"authorization": f"Basic {PASSWORD}"}),
        await http.get("/v1/keys", headers={"authorization": PASSWORD}),
        await http.post("/v1/signup", json=body),
        await http.post("/v1/signup", json={"email": PASSWORD, "password": [PASSWORD]}),
        await http.post("/v1/signup", content=PASSWORD),
        await http.post("/v1/sessions", json={"api_key": key["api_key"], "role": key["api_key"]}),
        await http.post("/v1/sessions", json={"api_key": key["api_key"] + "x", "role": "spectator"}),
        await http.post("/v1/sessions/refresh", headers=token),
        await http.get(f"/v1/chunks/chunk-0/snapshot?token={opened['session_token']}"),
        await http.get(f"/v1/chunks/{opened['session_token']}/snapshot", headers=token),
        await http.get("/v1/agents", headers=bearer(key["api_key"])),
        await http.get("/metrics"),
        await http.get("/readyz"),
    ]
    await play(services, redis, opened)
    misplaced = (account["account_token"], key["api_key"], opened["session_token"], opened["cmd_secret"])
    traces = [text for secret in misplaced for text in (secret, f"t-1:{secret}")]
    answers += [await http.get("/v1/agents", headers=token | {"x-trace-id": text}) for text in traces]
    await play_with_secrets_for_ids(services, redis, opened, misplaced)
    answers.append(await http.delete("/v1/sessions", headers=token))
    answers.append(await http.delete(f"/v1/keys/{key['key_id']}", headers=headers))
    return secrets, answers


async def play(services: Services, redis: Redis, opened: dict[str, Any]) -> None:
    """A command done and one refused."""
    mine = Session(opened["session_jti"], "agent", "acc", "a-1", "key", opened["cmd_secret"], opened["expires_at"])
    handler = Handler(services.ingress, mine, "ws-1")
    for sig in ({}, {"sig": "A" * 43}):
        await request(handler)
        await answer(handler, answer_to(mine, handler.challenge) | sig)
        await services.ingress.drain(2.0)


async def play_with_secrets_for_ids(
    services: Services, redis: Redis, opened: dict[str, Any], misplaced: Sequence[str]
) -> None:
    """Frames whose trace and command ids are secrets; what they begin is traced by ids of the server's own."""
    mine = Session(opened["session_jti"], "agent", "acc", "a-1", "key", opened["cmd_secret"], opened["expires_at"])
    handler = Handler(services.ingress, mine, "ws-1")
    for number, secret in enumerate(misplaced):
        asked = parse_frame(frame_text("command_answer", trace_id=secret, server_cmd_id=secret, sig="A" * 43))
        assert isinstance(asked, CommandAnswer)
        assert asked.trace_id != secret
        await handler.handle(asked)
        await handler.handle(frame("command_req", client_cmd_id=f"c-{number}", cmd={}, trace_id=secret))
        await services.ingress.drain(2.0)


def leaks(secrets: dict[str, str], where: str) -> list[str]:
    return [name for name, secret in secrets.items() if secret[:SHOWN] in where]


async def test_no_secret_is_left_anywhere(
    http: httpx.AsyncClient, services: Services, redis: Redis, debug_log: io.StringIO
) -> None:
    secrets, answers = await use_everything(http, services, redis)
    await services.session_log.flush()
    assert "challenge_answer" in debug_log.getvalue()
    assert leaks(secrets, debug_log.getvalue()) == []
    assert leaks(secrets, "\n".join(answer.text + str(answer.headers) for answer in answers)) == []
    assert leaks(secrets, exposition().decode()) == []
    assert leaks(secrets, await dump(services)) == []


async def test_an_exception_that_quotes_a_token_does_not_carry_it_out(
    http: httpx.AsyncClient, services: Services, debug_log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "sess_" + "T" * 43

    async def fail(given: str) -> Session:
        raise RuntimeError(f"cannot use {given}")

    monkeypatch.setattr(services.auth, "authenticate", fail)
    answer = await http.post("/v1/sessions/refresh", headers=bearer(token))
    assert answer.status_code == 500
    assert token[:SHOWN] not in answer.text + debug_log.getvalue()
    assert "RuntimeError" in debug_log.getvalue()


async def test_the_streams_hold_no_secret_but_what_the_agent_signs_with_is_in_its_session_alone(
    http: httpx.AsyncClient, services: Services, redis: Redis
) -> None:
    """In Redis the secret stands in the session's hash, and the token nowhere."""
    account = (await http.post("/v1/signup", json={"email": "s@x.org", "password": PASSWORD})).json()
    headers = bearer(account["account_token"])
    key = (await http.post("/v1/keys", json={"account_id": account["account_id"]}, headers=headers)).json()
    opened = await session(http, key["api_key"])
    await play(services, redis, opened)
    held = {}
    for name in await redis.keys():
        kind = await redis.type(name)
        if kind == b"hash":
            held[name] = repr(await redis.hgetall(name))
        elif kind == b"stream":
            held[name] = repr(await redis.xrange(name))
        elif kind == b"string":
            held[name] = repr(await redis.get(name))
    assert not any(opened["session_token"][:SHOWN] in value for value in held.values())
    holders = {name for name, value in held.items() if opened["cmd_secret"] in value}
    assert holders == {await redis.get(keys.session_by_jti(opened["session_jti"]))}
