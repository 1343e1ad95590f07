"""What an operator has decided outlives the processes that carry it out: a frozen chunk, a ban.

.venv/bin/pytest -s -m chaos tests/chaos/test_operators_word.py
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest

from chunkcrawl import Agent
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import Wanderer
from cluster.ray_clients import WorldActor
from streaming import keys
from tests.api.people import bearer, keyed, signed_up
from tests.chaos.scene import CALL_S, Scene, scene, scratch, services_in
from tests.cluster.worlds import until

CHUNK = "chunk-0"
AGENTS = 12
#: Agents that have to be elsewhere before the chunk is frozen: then there are other chunks, where newcomers are seated.
ELSEWHERE = 3
#: Commands that a newcomer gets accepted while the chunk is frozen, and others that are elsewhere still.
MORE = 5
NEWCOMER = "newcomer-1"
LIMIT_S = 120.0
STILL_S = 3.0
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


async def newest(stage: Scene) -> Any:
    """Id of the newest entry of the chunk's stream."""
    found = await stage.redis.xrevrange(keys.chunk_stream(CHUNK), count=1)
    return found[0][0] if found else None


async def put_out(stage: Scene) -> bool:
    """Whether the chunk's shard holds one chunk less than it owns."""
    shard = await stage.owner(CHUNK)
    described = await stage.actors.call(f"shard-{shard}", CALL_S, WorldActor.describe)
    owned = [name for name in await stage.chunks() if await stage.owner(name) == shard]
    return int(described["chunks"]) == len(owned) - 1


@contextlib.asynccontextmanager
async def newcomer(stage: Scene) -> AsyncIterator[None]:
    """Somebody who comes while the chunk is frozen, is seated elsewhere, and walks about there as the block runs."""
    async with httpx.AsyncClient(base_url=stage.base, timeout=CALL_S) as http:
        key = (await keyed(http, await signed_up(http)))["api_key"]
    async with Agent.connect(stage.base, agent_id=NEWCOMER, api_key=key) as agent:
        assert agent.chunk_id != CHUNK
        playing = asyncio.create_task(drive(agent, Wanderer(cross=0.0), random.Random(1)))
        try:
            yield
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


async def freeze_and_kill(stage: Scene) -> tuple[Any, Any]:
    """Freeze a chunk in which agents play, kill its shard, play on; return where the chunk stood, before and after."""

    async def elsewhere() -> bool:
        counts = await stage.redis.hgetall(keys.POPULATION)
        others = sum(int(count) for name, count in counts.items() if name != CHUNK.encode())
        return others >= ELSEWHERE and int(counts.get(CHUNK.encode(), 0)) > 0

    async def frozen() -> bool:
        seen = await newest(stage)
        if not await put_out(stage):
            return False
        await asyncio.sleep(STILL_S)  # that a chunk is just being made would look the same
        return bool(await put_out(stage) and await newest(stage) == seen)

    async def still_out() -> bool:
        return await put_out(stage)

    def more_than(count: int) -> Callable[[], Coroutine[Any, Any, bool]]:
        async def reached() -> bool:
            return len(stage.ledger.accepted) > count

        return reached

    async with stage.playing(AGENTS):
        await until(elsewhere, "agents are in the chunk and in others", LIMIT_S)
        await operate(stage, f"chunks/{CHUNK}/freeze")
        await until(frozen, "the shard has put the chunk out", LIMIT_S)
        before = await newest(stage)
        shard = f"shard-{await stage.owner(CHUNK)}"
        old = (await stage.actors.call(shard, CALL_S, WorldActor.describe))["pid"]
        await stage.kill_actor(shard)

        async def back() -> bool:
            try:
                return bool((await stage.actors.call(shard, CALL_S, WorldActor.describe))["pid"] != old)
            except Exception:
                return False

        await until(back, "the shard has another process", LIMIT_S)
        # Whoever was elsewhere may have come back in the moment before the chunk was put out.
        async with newcomer(stage):
            await until(more_than(len(stage.ledger.accepted) + MORE), "those elsewhere play on", LIMIT_S)
        after = await newest(stage)
        await until(still_out, "the new process has not loaded it", LIMIT_S)
        await operate(stage, f"chunks/{CHUNK}/thaw")

        async def goes_on() -> bool:
            return bool(await newest(stage) != after)

        await until(goes_on, "the chunk goes on", LIMIT_S)
    return before, after


async def frozen_run() -> None:
    with scratch() as directory:
        services = services_in(directory)
        try:
            async with scene(services, 17, shards=2, gateways=1) as stage:
                before, after = await freeze_and_kill(stage)
                findings, gold, ledger = await stage.findings(), await stage.gold(), stage.ledger
                print(f"{len(ledger.accepted)} commands accepted", *stage.log, sep="\n")
        finally:
            services.stop()
    assert before is not None
    assert before == after, "it stood still, over the death of its shard's process too"
    assert (ledger.unsettled, ledger.holes, findings) == ([], [], [])
    assert gold[0] == gold[1]


def test_a_frozen_chunk_stays_frozen_and_whole_when_its_shard_is_killed() -> None:
    asyncio.run(frozen_run())


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
