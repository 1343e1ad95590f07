"""A whole world in this process, gateways in front of it that come and go, and agents of the SDK in it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from chunkcrawl import Agent, Api
from cluster.local import LocalWorld
from config.settings import Settings
from streaming.connect import connect
from tests.api.gates import Gate, running
from tests.relay import Relay, relay_to
from world.rules import Rules

#: Empty chunks go after 2 s, so that a test can see it.
RULES = Rules(demo=False, collect_idle_ticks=10, harvest_ticks_per_unit=2)


class Play:
    """What a test has in hand.  ``base`` stays the same whatever gateway answers."""

    def __init__(
        self, redis: Redis, world: LocalWorld, door: Relay, settings: Settings, api_key: str | None = None
    ) -> None:
        self.redis: Any = redis
        self.world = world
        self.door = door
        self.gate: Gate | None = None
        self._settings = settings
        self._gates = AsyncExitStack()
        self._key = api_key

    @property
    def base(self) -> str:
        return self.door.base

    async def open_gate(self) -> Gate:
        """Another gateway takes what comes from now on."""
        self.gate = await self._gates.enter_async_context(running(self._settings, self.world.router))
        self.door.target = self.gate.port
        return self.gate

    async def lose_gate(self) -> None:
        """The gateway is gone, and all connections of pages with it; agents had theirs elsewhere."""
        self.door.cut()

    async def close(self) -> None:
        self.door.cut()
        await self._gates.aclose()

    async def key(self) -> str:
        """An API key of this world's own account."""
        if self._key is None:
            assert self.gate is not None
            async with Api(self.gate.base) as api:
                account = await api.signup(f"watch-{secrets.token_hex(4)}@example.com", "a long password")
                self._key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
        return self._key

    @asynccontextmanager
    async def agent(self, agent_id: str) -> AsyncIterator[Agent]:
        """An agent that plays, past the relay."""
        assert self.gate is not None
        async with Agent.connect(self.gate.base, agent_id=agent_id, api_key=await self.key()) as agent:
            yield agent


@asynccontextmanager
async def playing(settings: Settings) -> AsyncIterator[Play]:
    """A new world, one gateway open."""
    redis = connect(settings.redis_url)
    await redis.flushall()
    async with LocalWorld(redis, shards=1, rules=RULES) as world, relay_to() as door:
        play = Play(redis, world, door, settings)
        await play.open_gate()
        try:
            yield play
        finally:
            await play.close()
    await redis.aclose()
