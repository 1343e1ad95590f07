"""An agent, its owner and a spectator while gateways and a shard are killed and Valkey stands still for 5 s.

Afterwards every result has arrived once at the agent and once at the owner, and the spectator has seen every entry of
the chunk's stream, or was told to resync.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from chunkcrawl import Agent, Api, Watcher
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import Wanderer
from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.wire.messages import ChunkDelta, CommandResult, Event, ResyncRequired
from streaming import keys
from tests.chaos.scene import Scene, scene, scratch, services_in
from tests.cluster.worlds import until

QUEUE = 100_000
HITS = ("gateway-0", "gateway-1", "shard", "freeze")
PAUSE_S = 5.0


async def collect(events: AsyncIterator[Event], into: list[Event]) -> None:
    """Keep every event until cancelled."""
    async for event in events:
        into.append(event)  # noqa: PERF401 - what has come so far is looked at meanwhile


async def watch(watcher: Watcher, into: list[Event]) -> None:
    """Keep every event of a watcher until cancelled."""
    async with watcher:
        await collect(watcher.events(), into)


async def hit(stage: Scene, what: str) -> None:
    """Break one thing."""
    if what == "freeze":
        await stage.freeze_valkey(PAUSE_S)
    elif what == "shard":
        await stage.kill_actor(f"shard-{await stage.owner('chunk-0')}")
    else:
        await stage.kill_actor(what)


def results(events: list[Event]) -> Counter[str]:
    """How often each command's result stands among events."""
    return Counter(event.server_cmd_id or "" for event in events if isinstance(event, CommandResult))


async def follow(stage: Scene) -> tuple[list[Event], list[Event], list[Event]]:
    """Play while things break; what agent, owner and spectator were told."""
    own: list[Event] = []
    followed: list[Event] = []
    seen: list[Event] = []
    async with Api(stage.base) as api:
        account = await api.signup("streams@example.com", "password-of-streams")
        key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
        async with Agent.connect(stage.base, agent_id="walker", api_key=key, api=api) as agent:
            owner = Watcher.owner(stage.base, "walker", api_key=key)
            spectator = Watcher.chunk(stage.base, "chunk-0", api_key=key)
            tasks = [
                asyncio.create_task(watch(owner, followed)),
                asyncio.create_task(watch(spectator, seen)),
                asyncio.create_task(collect(agent.events(QUEUE), own)),
                asyncio.create_task(stage.read_streams()),
            ]

            async def both_begun() -> bool:
                return bool(followed and seen)

            await until(both_begun, "both streams have begun")
            playing = asyncio.create_task(drive(agent, Wanderer(cross=0.3, chat=0.1), random.Random(stage.seed)))
            for what in HITS:
                await asyncio.sleep(PAUSE_S)
                await hit(stage, what)
            await asyncio.sleep(PAUSE_S)
            await until(stage.ready, "the world is ready again", 60)
            playing.cancel()
            with suppress(asyncio.CancelledError, ChunkcrawlError):
                await playing
            await until(stage.settled, "every accepted command has its result", 60)

            async def all_heard() -> bool:
                return set(results(own)) >= set(stage.ledger.results) <= set(results(followed))

            with suppress(AssertionError):  # what is missing is shown by the caller's comparison
                await until(all_heard, "agent and owner have heard of every result", 30)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return own, followed, seen


async def run(seed: int) -> None:
    with scratch() as directory:
        services = services_in(directory)
        try:
            async with scene(services, seed, shards=2, gateways=2) as stage:
                own, followed, seen = await follow(stage)
                truth = stage.ledger.results
                entries = await stage.redis.xrange(keys.chunk_stream("chunk-0"))
        finally:
            services.stop()
    print(f"{len(truth)} results; owner heard {len(followed)} events, spectator {len(seen)}")
    assert len(truth) > 3
    assert results(own) == truth
    assert results(followed) == truth
    ticks = [event.tick for event in seen if isinstance(event, ChunkDelta)]
    assert ticks == sorted(set(ticks)), "a spectator's ticks only rise"
    if not any(isinstance(event, ResyncRequired) for event in seen):
        stream = [tick for entry_id, _ in entries if (tick := int(entry_id.split(b"-")[0])) >= ticks[0]]
        assert ticks == [tick for tick in stream if tick <= ticks[-1]], "neither gap nor repeat"


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nobody_misses_anything_or_is_told_to_resync() -> None:
    asyncio.run(run(7))
