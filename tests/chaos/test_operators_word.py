"""What an operator has decided outlives the processes that carry it out: a ban.

.venv/bin/pytest -s -m chaos tests/chaos/test_operators_word.py
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.people import bearer, keyed, signed_up
from tests.chaos.scene import CALL_S, Scene, scene, scratch, services_in
from tests.cluster.worlds import until

LIMIT_S = 120.0
#: In so many new connections, one after the other, both gateways have been asked.
ENOUGH = 24
OPERATOR = bearer("test-operator-token")

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(500)]


async def operate(stage: Scene, path: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=stage.base, timeout=CALL_S) as http:
        answer = await http.post(f"/v1/operator/{path}", headers=OPERATOR, json={})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def answers(stage: Scene, key: str, agent_id: str) -> list[int]:
    """What ``ENOUGH`` new connections are told when they want a session, by turns of whichever gateway takes them."""
    found = []
    for _ in range(ENOUGH):
        async with httpx.AsyncClient(base_url=stage.base, timeout=CALL_S) as http:
            body = {"api_key": key, "role": "agent", "agent_id": agent_id}
            found.append((await http.post("/v1/sessions", json=body)).status_code)
    return found


async def ban_run() -> None:
    with scratch() as directory:
        services = services_in(directory)
        try:
            async with scene(services, 18, shards=2, gateways=2) as stage:
                async with httpx.AsyncClient(base_url=stage.base, timeout=CALL_S) as http:
                    key = (await keyed(http, await signed_up(http)))["api_key"]
                assert set(await answers(stage, key, "bad-1")) == {201}
                await operate(stage, "agents/bad-1/ban")

                async def out_everywhere() -> bool:
                    return set(await answers(stage, key, "bad-1")) == {403}

                await until(out_everywhere, "no gateway lets it in", LIMIT_S)
                assert set(await answers(stage, key, "good-1")) == {201}
        finally:
            services.stop()
        services = services_in(directory)
        try:
            async with scene(services, 18, shards=2, gateways=2) as stage:
                assert set(await answers(stage, key, "bad-1")) == {403}, "from the first answer on"
                assert set(await answers(stage, key, "good-1")) == {201}
                await operate(stage, "agents/bad-1/unban")

                async def in_everywhere() -> bool:
                    return set(await answers(stage, key, "bad-1")) == {201}

                await until(in_everywhere, "every gateway lets it in again", LIMIT_S)
        finally:
            services.stop()


def test_a_ban_holds_on_every_gateway_and_over_a_restart_of_the_world() -> None:
    asyncio.run(ban_run())
