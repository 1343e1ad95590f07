"""The limits of signups, logins and session calls, over two gateways (pitfall B20)."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from structlog.testing import capture_logs

from api.accounts.password_process import HashingFailed, HashingProcess
from api.app import create_app
from api.limits import limit_metrics
from api.limits.http_limits import HttpRules
from api.services import Services
from config.limit import Limit
from config.settings import LIMITS, Settings
from tests.api.people import PASSWORD, Person, bearer, keyed, refused, session, signed_up
from tests.api.support import FakeWorld

PEER = "203.0.113.9"
PROXY = "10.0.0.1"
#: Narrow, and nothing comes back while a test runs.
NARROW = {
    "limit_signups": "5+1/h",
    "limit_address_logins": "8+1/h",
    "limit_account_logins": "6+1/h",
    "limit_address_session_failures": "7+1/h",
    "limit_account_session_failures": "4+1/h",
    "limit_account_sessions": "9+1/h",
}


@pytest.fixture
def settings(fresh_postgres_url: str, valkey_url: str) -> Settings:
    return Settings(
        environment="test",
        database_url=fresh_postgres_url,
        redis_url=valkey_url,
        trusted_proxies=(PROXY,),
        **NARROW,  # type: ignore[arg-type]
    )


Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def connect(settings: Settings, redis: Redis) -> AsyncIterator[Connect]:
    """Makes clients of gateway 0 or 1, as if connected from ``peer``."""
    async with AsyncExitStack() as stack:
        apps = []
        for _ in range(2):
            services = Services.build(settings, FakeWorld())
            services.start()
            stack.push_async_callback(services.close)
            apps.append(create_app(services))

        def make(gateway: int = 0, peer: str = PEER) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(apps[gateway], raise_app_exceptions=False, client=(peer, 4711))
            return httpx.AsyncClient(transport=transport, base_url="http://localhost")

        yield make


async def person_by(connect: Connect, number: int = 1) -> Person:
    """Somebody who signed up from elsewhere."""
    return await signed_up(connect(peer=f"198.51.100.{number}"))


def basic(email: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode()}


async def statuses(calls: Iterable[Any]) -> Counter[int]:
    answers = await asyncio.gather(*calls)
    for answer in answers:
        if answer.status_code == 429:
            refused(answer, 429, "rate_limited")
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["retry_after_ms"] >= 1
    return Counter(answer.status_code for answer in answers)


def signup(client: httpx.AsyncClient, number: int, **headers: Any) -> Any:
    body = {"email": f"n{number}@example.com", "password": PASSWORD}
    return client.post("/v1/signup", json=body, **headers)


# -- signups --

DODGES: list[Callable[[int], list[tuple[str, str]]]] = [
    lambda n: [],
    lambda n: [("x-forwarded-for", f"192.0.2.{n}")],
    lambda n: [("x-real-ip", f"192.0.2.{n}")],
    lambda n: [("forwarded", f"for=192.0.2.{n}")],
    lambda n: [("x-forwarded-for", f"192.0.2.{n}"), ("x-forwarded-for", f"198.51.100.{n}")],
    lambda n: [("x-forwarded-for", ", ".join(f"192.0.{n}.{m}" for m in range(256)) * 4)],
    lambda n: [("cf-connecting-ip", f"192.0.2.{n}"), ("true-client-ip", f"192.0.2.{n}")],
]


@pytest.mark.parametrize("dodge", DODGES)
async def test_signups_are_counted_by_the_real_peer_whatever_the_headers_say(
    connect: Connect, dodge: Callable[[int], list[tuple[str, str]]]
) -> None:
    gateways = [connect(0), connect(1)]
    calls = [signup(gateways[n % 2], n, headers=dodge(n)) for n in range(55)]
    assert await statuses(calls) == {201: 5, 429: 50}
    assert await statuses([signup(connect(peer="203.0.113.10"), 99)]) == {201: 1}


async def test_behind_a_trusted_proxy_each_client_has_its_own(connect: Connect) -> None:
    gateway = connect(peer=PROXY)
    for client in (1, 2):
        # What the client wrote itself stands left of what the proxy adds.
        calls = [
            signup(gateway, 100 * client + n, headers={"x-forwarded-for": f"192.0.2.{n}, 203.0.113.{client}"})
            for n in range(12)
        ]
        assert await statuses(calls) == {201: 5, 429: 7}


async def test_a_network_of_ipv6_is_one_client(connect: Connect) -> None:
    calls = [signup(connect(peer=f"2001:db8:1:2::{n:x}"), n) for n in range(1, 12)]
    assert await statuses(calls) == {201: 5, 429: 6}
    assert await statuses([signup(connect(peer="2001:db8:1:3::1"), 99)]) == {201: 1}


async def test_a_signup_counts_whatever_becomes_of_it_and_one_of_the_wrong_shape_does_not(connect: Connect) -> None:
    gateway = connect()
    assert await statuses([gateway.post("/v1/signup", json={"email": "x"}) for _ in range(20)]) == {422: 20}
    # One after the other: at once they would race for the one e-mail.
    assert [(await signup(gateway, 1)).status_code for _ in range(7)] == [201, 409, 409, 409, 409, 429, 429]


async def test_a_refusal_tells_when_to_try_again(connect: Connect) -> None:
    for number in range(5):
        await signup(connect(), number)
    answer = await signup(connect(), 9)
    refused(answer, 429, "rate_limited")
    assert 3_500_000 < answer.json()["retry_after_ms"] <= 3_600_000
    assert int(answer.headers["retry-after"]) == -(-answer.json()["retry_after_ms"] // 1000)


# -- logins --


def log_in(client: httpx.AsyncClient, email: str, password: str) -> Any:
    return client.get("/v1/keys", headers=basic(email, password))


async def test_of_many_guesses_at_once_only_the_limit_is_checked_at_all(connect: Connect) -> None:
    """From forty addresses, over two gateways; the right password is no way around it."""
    someone = await person_by(connect)
    calls = [log_in(connect(n % 2, f"192.0.2.{n}"), someone.email, f"guess {n}") for n in range(40)]
    assert await statuses(calls) == {401: 6, 429: 34}
    refused(await log_in(connect(), someone.email, PASSWORD), 429, "rate_limited")
    # Only the password is shut: the account's token is no guess.
    assert (await connect().get("/v1/keys", headers=someone.bearer)).status_code == 200


async def test_an_address_that_tries_many_accounts_is_limited_too(connect: Connect) -> None:
    people = [await person_by(connect, number) for number in range(3)]
    calls = [log_in(connect(n % 2), people[n % 3].email, f"guess {n}") for n in range(15)]
    assert await statuses(calls) == {401: 8, 429: 7}
    assert (await log_in(connect(peer="192.0.2.1"), people[0].email, PASSWORD)).status_code == 200


async def test_an_email_that_nobody_has_behaves_like_one_that_somebody_has(connect: Connect) -> None:
    for email in ("nobody@example.com", (await person_by(connect)).email):
        answers = [await log_in(connect(peer=f"192.0.2.{n}"), email, "a wrong one") for n in range(8)]
        assert [answer.status_code for answer in answers] == [401] * 6 + [429] * 2
        assert {answer.json()["detail"] for answer in answers[:6]} == {"invalid_credentials"}


async def test_an_email_counts_in_its_normal_form(connect: Connect) -> None:
    someone = await person_by(connect)
    spellings = [someone.email, someone.email.upper(), f" {someone.email} ", someone.email.title()]
    answers = [await log_in(connect(peer=f"192.0.2.{n}"), spellings[n % 4], "a wrong one") for n in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 6 + [429] * 2


async def test_right_passwords_cost_nothing(connect: Connect, redis: Redis) -> None:
    someone = await person_by(connect)
    await redis.delete("limit:signup:198.51.100.1")
    assert await statuses([log_in(connect(n % 2), someone.email, PASSWORD) for n in range(6)]) == {200: 6}
    for _ in range(20):
        assert (await log_in(connect(), someone.email, PASSWORD)).status_code == 200
    assert await redis.keys("limit:*") == []


async def test_a_login_that_could_not_be_checked_costs_nothing(
    connect: Connect, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process can hash: no guess was answered."""
    someone = await person_by(connect)
    client = connect()

    def fail(*_: object) -> bool:
        raise HashingFailed

    monkeypatch.setattr(HashingProcess, "matches", fail)
    for _ in range(20):
        refused(await log_in(client, someone.email, "a wrong one"), 503, "unavailable")
    assert await redis.keys("limit:login*") == []


@pytest.mark.parametrize(
    "header", ["Basic !", "Basic " + "x" * 3_000, "Basic bm9jb2xvbg==", "Bearer dca_nothing", "Bearer é"]
)
async def test_credentials_of_no_use_count_for_the_address(connect: Connect, header: str) -> None:
    raw = {b"authorization": header.encode("latin-1")}
    calls = [connect().get("/v1/keys", headers=raw) for _ in range(12)]
    assert await statuses(calls) == {401: 8, 429: 4}


async def test_no_credentials_at_all_are_no_failed_login(connect: Connect) -> None:
    """Older clients send none; they are told so every time."""
    assert await statuses([connect().get("/v1/keys") for _ in range(30)]) == {401: 30}


# -- sessions --


def open_session(client: httpx.AsyncClient, api_key: str, agent_id: str = "a-1") -> Any:
    return client.post("/v1/sessions", json={"api_key": api_key, "role": "agent", "agent_id": agent_id})


def unknown_key(number: int) -> str:
    return f"dcw_{number:012x}_{'x' * 43}"


async def test_of_two_hundred_bad_keys_at_once_exactly_the_limit_is_told_so(connect: Connect) -> None:
    gateways = [connect(0), connect(1)]
    assert await statuses(open_session(gateways[n % 2], unknown_key(n)) for n in range(200)) == {401: 7, 429: 193}
    assert await statuses([connect(peer="192.0.2.1").get("/v1/agents", headers=bearer(unknown_key(1)))]) == {401: 1}


async def test_a_good_key_passes_from_an_address_that_has_failed_too_often(connect: Connect) -> None:
    key = await keyed(connect(), await person_by(connect))
    await statuses(open_session(connect(), unknown_key(n)) for n in range(20))
    assert (await open_session(connect(), key["api_key"])).status_code == 201


async def test_bad_forms_of_an_accounts_keys_count_for_the_account_from_anywhere(connect: Connect) -> None:
    """A revoked key, and a right beginning with a wrong end, from ten addresses."""
    someone = await person_by(connect)
    revoked, live = await keyed(connect(), someone), await keyed(connect(), someone)
    await connect().delete(f"/v1/keys/{revoked['key_id']}", headers=someone.bearer)
    bad = [revoked["api_key"], live["api_key"][:-1] + ("A" if live["api_key"][-1] != "A" else "B")]
    calls = [open_session(connect(n % 2, f"192.0.2.{n}"), bad[n % 2]) for n in range(10)]
    assert await statuses(calls) == {401: 4, 429: 6}
    assert (await open_session(connect(), live["api_key"])).status_code == 201


async def test_an_accounts_sessions_are_limited_over_its_keys_and_gateways(connect: Connect) -> None:
    someone = await person_by(connect)
    made = [(await keyed(connect(), someone))["api_key"] for _ in range(10)]
    calls = [open_session(connect(n % 2), made[n % 10], f"a-{n}") for n in range(60)]
    assert await statuses(calls) == {201: 9, 429: 51}
    other = await keyed(connect(), await person_by(connect, 2))
    assert (await open_session(connect(), other["api_key"], "b-1")).status_code == 201


async def test_with_the_defaults_one_key_opens_thousands_of_sessions_in_a_minute() -> None:
    rules = HttpRules.of(Settings())
    assert rules.account_sessions.burst + 60_000_000 // rules.account_sessions.interval_us >= 10_000


# -- the rest --


async def test_nothing_of_the_limits_is_kept_for_ever(connect: Connect, redis: Redis) -> None:
    someone = await person_by(connect)
    key = await keyed(connect(), someone)
    await statuses(log_in(connect(), someone.email, f"guess {n}") for n in range(20))
    await statuses(open_session(connect(), unknown_key(n)) for n in range(20))
    await session(connect(), key["api_key"])
    found: Any = await redis.keys("limit:*")
    kinds = {name.split(b":")[1].decode() for name in found}
    assert kinds == {"signup", "login_address", "login_account", "session_failure_address", "session"}
    assert min([await redis.pttl(name) for name in found]) > 0
    assert someone.email.encode() not in b" ".join(found)


async def test_every_limit_that_is_set_counts(settings: Settings) -> None:
    """No setting is read under another's name."""
    values = {name: f"{number}+1/h" for number, name in enumerate(LIMITS, start=1)}
    rules = HttpRules.of(Settings(**values))  # type: ignore[arg-type]
    for name, number in ((name, number) for number, name in enumerate(LIMITS, start=1)):
        field = name.removeprefix("limit_")
        if not field.endswith("_commands"):
            assert getattr(rules, field) == Limit(number, 3_600_000_000), name


@pytest.fixture
async def without_redis(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway whose Redis is away."""
    services = Services.build(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}), FakeWorld())
    services.start()
    transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False, client=(PEER, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await services.close()


async def test_without_redis_signups_logins_and_session_calls_are_closed(
    connect: Connect, without_redis: httpx.AsyncClient, services: Services
) -> None:
    """As docs/decisions/0042-rate-limits.md has it for each; logged and counted."""
    someone = await person_by(connect)
    key = await keyed(connect(), someone)
    away = [
        ("signup", signup(without_redis, 77)),
        ("login_address", log_in(without_redis, someone.email, PASSWORD)),
        ("login_address", log_in(without_redis, someone.email, "a wrong one")),
        ("login_address", without_redis.get("/v1/keys", headers=bearer("dca_nothing"))),
        ("session_failure_address", open_session(without_redis, unknown_key(1))),
        ("session", open_session(without_redis, key["api_key"])),
    ]
    for kind, call in away:
        counted = limit_metrics.RATE_LIMIT_UNAVAILABLE.labels(kind)._value.get()
        with capture_logs() as logs:
            answer = await call
        refused(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert limit_metrics.RATE_LIMIT_UNAVAILABLE.labels(kind)._value.get() == counted + 1
        assert kind in [entry.get("limit") for entry in logs if entry["event"] == "rate_limit_unavailable"]
    async with services.engine.connect() as connection:
        found = await connection.execute(text("SELECT count(*) FROM accounts WHERE email = 'n77@example.com'"))
        assert found.scalar_one() == 0
    # What no limit is asked about goes on: an account token is looked up in PostgreSQL alone.
    assert (await without_redis.get("/v1/keys", headers=someone.bearer)).status_code == 200
