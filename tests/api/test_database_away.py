"""PostgreSQL is full, stops, is gone, starts: every request is answered 503 meanwhile, nothing else (pitfall B45)."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api.services import Services
from config.settings import Settings
from embedded import postgres as embedded_postgres
from embedded.postgres import EmbeddedPostgres
from migrations.run import upgrade
from tests.api.people import PASSWORD, Person, bearer, keyed, refused, signed_up

CONNECTIONS = 20

Call = Callable[[httpx.AsyncClient], Any]


@pytest.fixture(scope="module")
def server(service_dir: Path) -> Iterator[tuple[EmbeddedPostgres, str]]:
    """A migrated PostgreSQL of this module, which its tests fill, stop and kill."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embedded_postgres.SETTINGS, "max_connections", str(CONNECTIONS))
        running = EmbeddedPostgres(service_dir / "away", "for-tests", durable=False)
        url = running.start()
        asyncio.run(upgrade(url))
        yield running, url
        running.stop()


@pytest.fixture
def settings(server: tuple[EmbeddedPostgres, str], valkey_url: str) -> Settings:
    return Settings(environment="test", database_url=server[1], redis_url=valkey_url)


def calls(person: Person, key: str) -> list[Call]:
    """One request to every endpoint that asks the database."""
    new = {"email": "new@example.com", "password": PASSWORD}
    opening = {"api_key": key, "role": "spectator"}
    return [
        lambda http: http.post("/v1/signup", json=new),
        lambda http: http.post("/v1/keys", json={"account_id": person.account_id}, headers=person.bearer),
        lambda http: http.get("/v1/keys", auth=(person.email, PASSWORD)),
        lambda http: http.delete("/v1/keys/key_x", headers=person.bearer),
        lambda http: http.get("/v1/agents", headers=bearer(key)),
        lambda http: http.post("/v1/sessions", json=opening),
        lambda http: http.post("/v1/sessions", json=opening | {"role": "agent", "agent_id": "new"}),
        lambda http: http.post("/v1/dev/owner-session"),
    ]


async def all_unavailable(http: httpx.AsyncClient, services: Services, every: list[Call]) -> None:
    for call in every:
        services.key_ring._cached.clear()
        answer = await call(http)
        refused(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1


async def test_full(http: httpx.AsyncClient, services: Services, server: tuple[EmbeddedPostgres, str]) -> None:
    person = await signed_up(http)
    key = (await keyed(http, person))["api_key"]
    await services.engine.dispose()
    others: list[Any] = []
    try:
        with suppress(asyncpg.TooManyConnectionsError):
            while len(others) <= CONNECTIONS:
                others.append(await asyncpg.connect(server[1].replace("+asyncpg", "")))
        await all_unavailable(http, services, calls(person, key))
    finally:
        for other in others:
            await other.close()
    await signed_up(http)


async def test_stopped_in_the_middle_then_gone_then_back(
    http: httpx.AsyncClient, services: Services, server: tuple[EmbeddedPostgres, str]
) -> None:
    running, url = server
    person = await signed_up(http)
    key = (await keyed(http, person))["api_key"]
    lock = await asyncpg.connect(url.replace("+asyncpg", ""))
    await lock.execute("BEGIN; LOCK TABLE accounts, api_keys")
    services.key_ring._cached.clear()
    waiting = [asyncio.create_task(call(http)) for call in calls(person, key)[:6]]
    await asyncio.sleep(0.3)
    assert not any(task.done() for task in waiting)
    await asyncio.to_thread(running.stop)
    for answer in await asyncio.gather(*waiting):
        refused(answer, 503, "unavailable")
    await all_unavailable(http, services, calls(person, key))
    running.start()
    await signed_up(http)
    await lock.close()


async def test_killed_and_recovering_again_and_again(
    http: httpx.AsyncClient, services: Services, server: tuple[EmbeddedPostgres, str]
) -> None:
    """Whatever moment a request meets."""
    running, _ = server
    person = await signed_up(http)
    key = (await keyed(http, person))["api_key"]
    statuses: Counter[tuple[int, str]] = Counter()
    over = asyncio.Event()

    async def hammer(call: Call) -> None:
        while not over.is_set():
            services.key_ring._cached.clear()
            answer = await call(http)
            statuses[answer.status_code, str(answer.json().get("detail", "") if answer.is_error else "")] += 1
            await asyncio.sleep(0)

    hammering = [asyncio.create_task(hammer(call)) for call in calls(person, key)[1:]]
    for _ in range(2):
        await asyncio.sleep(0.3)
        process = running._process
        assert process is not None
        process.send_signal(signal.SIGQUIT)  # it and its sessions end at once; the next start recovers
        await asyncio.to_thread(process.wait)
        running.start()
    await asyncio.sleep(0.3)
    over.set()
    await asyncio.gather(*hammering)
    assert statuses[503, "unavailable"]
    assert statuses[200, ""]
    wrong = {found for found in statuses if found[0] >= 500 and found != (503, "unavailable")}
    assert not wrong, statuses
