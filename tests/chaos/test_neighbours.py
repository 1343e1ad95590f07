"""Another world on the same Redis, full of agents of the same names that come and take over from each other.

    ATTACK_SECONDS=20 .venv/bin/pytest -s -m slow tests/chaos/test_neighbours.py

Prints what the agents of the first world noticed; asserted is only what does not depend on time.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from chunkcrawl import Agent, Api
from cluster.local import LocalWorld
from config.settings import Settings
from migrations.run import upgrade
from streaming.connect import connect
from tests.api.gates import Gate, running
from tests.chaos.honest import Honest

SECONDS = float(os.environ.get("ATTACK_SECONDS", "5"))
AGENTS = 10
STAY_S = 0.5

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def key_of(base: str) -> str:
    async with Api(base) as api:
        account = await api.signup("neighbours@example.com", "password-of-neighbours")
        return (await api.create_key(account.account_id, auth=account.account_token)).api_key


async def come_and_take_over(base: str, key: str, agent_id: str, over: asyncio.Event) -> None:
    """Connect as ``agent_id`` again and again, beside the connection before, which is closed by it."""
    async with Api(base) as api:
        while not over.is_set():
            async with (
                Agent.connect(base, agent_id=agent_id, api_key=key, api=api, retries=0),
                Agent.connect(base, agent_id=agent_id, api_key=key, api=api, retries=0),
            ):
                await asyncio.sleep(STAY_S)


async def crowd(base: str, key: str) -> None:
    """For ``SECONDS``: everybody of the other world, by the same names."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(SECONDS, over.set)
    await asyncio.gather(*(come_and_take_over(base, key, f"honest-{number}", over) for number in range(AGENTS)))


@pytest.mark.parametrize(("ours", "theirs"), [("/0", "/1"), ("/0", "/0?world=blue"), ("/0?world=red", "/0?world=blue")])
async def test_a_crowd_in_the_world_next_door(
    redis: Redis, valkey_url: str, fresh_postgres_url: str, blank_postgres_url: str, ours: str, theirs: str
) -> None:
    await upgrade(blank_postgres_url)
    gates: list[Gate] = []
    async with AsyncExitStack() as stack:
        for place, database_url in ((ours, fresh_postgres_url), (theirs, blank_postgres_url)):
            url = valkey_url.removesuffix("/0") + place
            client = connect(url)
            stack.push_async_callback(client.aclose)
            world = await stack.enter_async_context(LocalWorld(client, shards=1))
            settings = Settings(environment="test", database_url=database_url, redis_url=url)
            gates.append(await stack.enter_async_context(running(settings, world.router)))
        here, there = gates
        key, other = await key_of(here.base), await key_of(there.base)
        api = await stack.enter_async_context(Api(here.base))

        def connect_to(number: int) -> Agent:
            return Agent.connect(here.base, agent_id=f"honest-{number}", api_key=key, api=api)

        async with Honest(connect_to, AGENTS) as honest:
            before = await honest.play(asyncio.sleep(SECONDS))
            during = await honest.play(crowd(there.base, other))
    print(f"\n{ours} beside {theirs}\n    before: {before}\n    during: {during}")
    assert during.answered == during.sent > 0
    assert during.reconnects == 0
    hub = here.streams.hub
    assert (hub.bad_entries, hub.resyncs) == (0, 0)
