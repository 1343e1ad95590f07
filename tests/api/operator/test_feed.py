"""The operators' stream: everything first, then what changes; made once for all, and not at all for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from api.operator.console import Console
from api.operator.feed import Feed, FeedView
from api.services import Services
from streaming import keys
from streaming.frozen import freeze
from streaming.subscriber_queue import SubscriberQueue
from tests.api.operator.status import make_up, status

DEADLINE_S = 20.0


class Reader:
    """Reads a view; keeps the events by kind."""

    def __init__(self, feed: Feed, capacity: int = 64) -> None:
        self.queue = SubscriberQueue(capacity, "drop_and_resync")
        self.view = FeedView(feed, self.queue, {"name": "alice"}, "t")
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._reading: AsyncIterator[Any] = self.view.events()

    async def until(self, kind: str) -> dict[str, Any]:
        """Read on to the next event of this kind."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                batch = await anext(self._reading)
                found = [(event.kind, orjson.loads(event.payload)) for event, _ in batch]
                self.events += found
                for name, fields in found:
                    if name == kind:
                        told: dict[str, Any] = fields
                        return told

    async def close(self) -> None:
        async with aclosing(self._reading):  # type: ignore[type-var]
            pass


@pytest.fixture
async def feed(services: Services, redis: Redis) -> AsyncIterator[Feed]:
    await make_up(redis, chunks=6, agents=4)
    feed = Feed(Console(services).figures, period_s=0.1)
    yield feed
    await feed.close()


async def test_everything_comes_first_and_then_what_changes(feed: Feed, redis: Redis, services: Services) -> None:
    reader = Reader(feed)
    whole = await reader.until("chunks")
    assert reader.events[0][0] == "hello"
    assert {kind for kind, _ in reader.events} >= {
        *("overview", "nodes", "actors", "shards", "marks", "moves", "jobs", "moderation", "bans", "audit", "hour")
    }
    assert (whole["whole"], sorted(whole["ids"])) == (True, [f"chunk-{number}" for number in range(6)])
    await redis.hset(keys.POPULATION, "chunk-3", 9)
    changed = await reader.until("chunks")
    assert (changed["whole"], changed["ids"], changed["agents"]) == (False, ["chunk-3"], [9])
    await freeze(redis, "chunk-2", "alice", 1)
    assert (await reader.until("marks"))["frozen"] == ["chunk-2"]
    await redis.hdel(keys.POPULATION, "chunk-5")
    assert (await reader.until("chunks"))["gone"] == ["chunk-5"]
    await reader.close()


async def test_all_who_watch_get_the_same_bytes_and_nobody_costs_nothing(
    feed: Feed, services: Services, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = [Reader(feed) for _ in range(3)]
    for reader in readers:
        await reader.until("chunks")
    events = [reader.queue for reader in readers]
    assert len(events) == 3
    payloads: list[list[int]] = []
    await redis.hset(keys.POPULATION, "chunk-1", 77)
    for reader in readers:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                batch = await anext(reader._reading)
                if found := [id(event) for event, _ in batch if event.kind == "chunks"]:
                    payloads.append(found)
                    break
    assert payloads[0] == payloads[1] == payloads[2]
    for reader in readers:
        await reader.close()
    assert not feed.watched
    assert feed._task is None


async def test_one_who_is_too_slow_is_given_everything_anew(feed: Feed, redis: Redis) -> None:
    reader = Reader(feed)
    await reader.until("chunks")
    for number in range(200):
        reader.queue.put(await _event(feed, number))
    assert await reader.until("resync") == {}
    kinds = [kind for kind, _ in reader.events]
    after = kinds[kinds.index("resync") :]
    assert {"overview", "chunks", "shards"} <= set(after)
    await reader.close()


async def _event(feed: Feed, _: int) -> Any:
    return (await feed.whole())[0]


async def test_trouble_is_told_and_ends(feed: Feed, redis: Redis) -> None:
    await redis.delete(keys.STATUS)
    reader = Reader(feed)
    assert (await reader.until("trouble"))["reason"] == "unavailable"
    await redis.set(keys.STATUS, orjson.dumps(status()))
    assert (await reader.until("chunks"))["whole"] is True
    await reader.close()
