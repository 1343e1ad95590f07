from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from api.services import Services
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


async def test_metrics_are_there_with_the_worlds_and_without(
    http: httpx.AsyncClient, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def of_world() -> bytes:
        return b"world_ticks_total 7\n"

    monkeypatch.setattr(world, "metrics", of_world)
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "challenge_issued_total" in answer.text
    assert answer.text.endswith("world_ticks_total 7\n")

    async def broken() -> bytes:
        raise RuntimeError("no")

    monkeypatch.setattr(world, "metrics", broken)
    assert "challenge_issued_total" in (await http.get("/metrics")).text


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
    # The limit is 0.8 s; a minute would be the hang.
    assert time.monotonic() - began < 5
