from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from starlette.requests import HTTPConnection

from api.accounts.auth import (
    DEV_TOKEN,
    DEV_TOKEN_JTI,
    Authenticator,
    Session,
    authorization,
    bearer_token,
    check_agent,
    chosen_subprotocol,
    connection_token,
    session_from_redis,
    subprotocol_token,
)
from api.accounts.tokens import new_session_token, sha256_hex
from api.errors import ApiError
from streaming import keys
from streaming.batch import RedisBatch
from tests.api.support import new_session

FIELDS: dict[Any, Any] = {
    "jti": "jti_1",
    "role": "agent",
    "account": "acc_1",
    "agent": "a-1",
    "key": "key_1",
    "secret": "s",
    "exp": "7",
    "kexp": "",
}
SESSION = Session("jti_1", "agent", "acc_1", "a-1", "key_1", "s", 7)


def connection(kind: str, *headers: tuple[str, str], subprotocols: list[str] | None = None) -> HTTPConnection:
    scope = {
        "type": kind,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "subprotocols": subprotocols or [],
    }
    return HTTPConnection(scope)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer x", "x"),
        ("bearer   x ", "x"),
        ("Basic x", None),
        ("x", None),
    ],
)
def test_bearer_headers(header: str | None, expected: str | None) -> None:
    assert bearer_token(header) == expected


def test_the_scheme_is_case_insensitive() -> None:
    assert authorization("BASIC abc") == ("basic", "abc")


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ([], None),
        (["bearer"], None),
        (["bearer", "tok"], "tok"),
        (["tok", "bearer"], None),
        (["bearer", "tok", "more"], None),
        (["Bearer", "tok"], None),
        (["graphql-ws", "tok"], None),
    ],
)
def test_only_the_pair_is_a_token(offered: list[str], expected: str | None) -> None:
    assert subprotocol_token(offered) == expected


def test_the_header_comes_before_the_subprotocol_and_requests_have_no_subprotocol() -> None:
    pair = ["bearer", "sub"]
    assert connection_token(connection("websocket", ("authorization", "Bearer head"), subprotocols=pair)) == "head"
    assert connection_token(connection("websocket", subprotocols=pair)) == "sub"
    assert connection_token(connection("http", subprotocols=pair)) is None
    assert chosen_subprotocol(connection("websocket", subprotocols=pair)) == "bearer"
    assert chosen_subprotocol(connection("websocket")) is None


def test_a_session_is_read_from_lists_and_mappings() -> None:
    pairs = {name.encode(): value.encode() for name, value in FIELDS.items()}
    flat = [part for pair in pairs.items() for part in pair]
    assert session_from_redis(pairs) == session_from_redis(flat) == SESSION
    assert session_from_redis({}) is session_from_redis([]) is None


def test_a_session_does_not_show_its_secret() -> None:
    assert "cmd_secret" not in repr(new_session())


async def test_a_token_is_its_session_while_redis_has_it(redis: Redis, batch: RedisBatch) -> None:
    auth = Authenticator(batch, dev=False)
    token = new_session_token()
    await redis.hset(keys.session(sha256_hex(token)), mapping=FIELDS)
    assert await auth.authenticate(token) == SESSION
    await redis.delete(keys.session(sha256_hex(token)))
    with pytest.raises(ApiError, match="invalid_session"):
        await auth.authenticate(token)


@pytest.mark.parametrize("token", [None, "", "sess_unknown", "a b", "x" * 500, "\ud800", "sess_\n"])
async def test_anything_else_is_no_session(batch: RedisBatch, redis: Redis, token: str | None) -> None:
    with pytest.raises(ApiError, match="invalid_session") as caught:
        await Authenticator(batch, dev=True).authenticate(token)
    assert caught.value.status_code == 401


async def test_the_fixed_token_is_dead_in_prod(batch: RedisBatch, redis: Redis) -> None:
    session = await Authenticator(batch, dev=True).authenticate(DEV_TOKEN)
    assert (session.role, session.jti) == ("spectator", DEV_TOKEN_JTI)
    with pytest.raises(ApiError, match="invalid_session"):
        await Authenticator(batch, dev=False).authenticate(DEV_TOKEN)


async def test_still_alive_tells_the_living_from_the_dead(redis: Redis, batch: RedisBatch) -> None:
    jtis = [f"jti_{n}" for n in range(1_203)]
    await redis.mset({keys.session_by_jti(jti): "sess:x" for jti in jtis[::2]})
    asked = [*jtis, DEV_TOKEN_JTI]
    assert await Authenticator(batch, dev=False).still_alive(asked) == set(jtis[::2])
    assert await Authenticator(batch, dev=True).still_alive(asked) == {*jtis[::2], DEV_TOKEN_JTI}
    assert await Authenticator(batch, dev=True).still_alive([]) == set()


def test_a_session_is_for_its_own_agent() -> None:
    check_agent(SESSION, "a-1")
    for session in (SESSION, replace(SESSION, agent_id=None)):
        with pytest.raises(ApiError, match="agent_mismatch"):
            check_agent(session, "a-2")
