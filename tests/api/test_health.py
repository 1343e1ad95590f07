from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from api.errors import ApiError
from api.health import check_metrics_token
from api.services import Services
from config.settings import load_settings
from tests.api.people import refused
from tests.api.support import FakeWorld


async def test_alive_and_ready(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_not_ready_says_why_while_alive(http: httpx.AsyncClient, world: FakeWorld) -> None:
    world.trouble = ["shard_1_does_not_tick"]
    answer = await http.get("/readyz")
    refused(answer, 503, "not_ready")
    assert answer.json()["problems"] == ["shard_1_does_not_tick"]
    assert int(answer.headers["retry-after"]) >= 1
    assert (await http.get("/healthz")).status_code == 200


async def test_a_draining_gateway_is_not_ready(http: httpx.AsyncClient, services: Services) -> None:
    services.draining = True
    assert (await http.get("/readyz")).json()["problems"] == ["draining"]


async def test_the_metrics_page_is_the_clusters_or_says_that_it_is_not(
    http: httpx.AsyncClient, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "challenge_issued_total" in answer.text
    assert answer.text.endswith("metrics_gathered 1\n")

    async def broken() -> bytes:
        raise RuntimeError("no")

    monkeypatch.setattr(world, "metrics", broken)
    missing = await http.get("/metrics")
    assert missing.status_code == 200
    # Its own counters next to the cluster's sums would look like a restart of everything.
    assert [line for line in missing.text.splitlines() if line[0] != "#"] == ["metrics_gathered 0"]


@pytest.mark.parametrize(
    ("environment", "token", "header", "status"),
    [
        ("dev", "", None, 200),
        ("dev", "t" * 32, None, 401),
        ("dev", "t" * 32, "Bearer " + "t" * 32, 200),
        ("prod", "", None, 403),
        ("prod", "", "Bearer ", 403),
        ("prod", "t" * 32, None, 401),
        ("prod", "t" * 32, "Bearer " + "t" * 31, 401),
        ("prod", "t" * 32, "Basic " + "t" * 32, 401),
        ("prod", "t" * 32, "Bearer \xe9", 401),
        ("prod", "t" * 32, "Bearer " + "t" * 32, 200),
    ],
)
def test_metrics_are_for_operators(environment: str, token: str, header: str | None, status: int) -> None:
    settings = load_settings(environment=environment, metrics_token=token, secret_pepper="p" * 32)
    found = 200
    try:
        check_metrics_token(settings, header)
    except ApiError as error:
        found = error.status_code
    assert found == status


async def test_a_hanging_world_does_not_hold_up_readiness_or_metrics(
    http: httpx.AsyncClient, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> list[str]:
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(world, "problems", hang)
    monkeypatch.setattr(world, "metrics", hang)
    began = time.monotonic()
    answers = await asyncio.gather(http.get("/readyz"), http.get("/metrics"))
    assert answers[0].json()["problems"] == ["world_timeout"]
    assert answers[1].status_code == 200
    # The limit is 2.5 s; a minute would be the hang.
    assert time.monotonic() - began < 10
