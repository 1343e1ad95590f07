"""The hub on a real Valkey: order, detector, reconnecting, and nothing left behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from streaming.connect import connect
from streaming.entry import SharedEvent
from streaming.gap_detector import Item, Resync
from streaming.hub import Hub, HubUnavailable
from tests.streaming.writer import ChunkWriter, cut_pubsub

DEADLINE_S = 10.0


class Reader:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._more = asyncio.Event()

    def put(self, item: Item) -> None:
        self.items.append(item)
        self._more.set()

    @property
    def ids(self) -> list[tuple[int, int]]:
        return [item.id for item in self.items if not isinstance(item, Resync)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._more.clear()
                await self._more.wait()

    async def seen(self, id_: tuple[int, int]) -> None:
        await self.until(lambda: id_ in self.ids)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_entries_arrive_in_order_and_are_the_same_objects_for_all(redis: Redis, hub: Hub) -> None:
    chunk, one, other = ChunkWriter(redis), Reader(), Reader()
    for reader in (one, other):
        await hub.subscribe(chunk.key, reader.put).ready()
    for _ in range(50):
        await chunk.tick()
    await one.seen((50, 0))
    await other.seen((50, 0))
    assert one.ids == [(tick, 0) for tick in range(1, 51)]
    assert all(a is b and isinstance(a, SharedEvent) for a, b in zip(one.items, other.items, strict=True))


async def test_what_was_there_before_subscribing_is_not_delivered(redis: Redis, hub: Hub) -> None:
    chunk, reader = ChunkWriter(redis), Reader()
    await chunk.tick()
    subscription = hub.subscribe(chunk.key, reader.put)
    await subscription.ready()
    assert subscription.head == (1, 0)
    await chunk.tick()
    await reader.seen((2, 0))
    assert reader.ids == [(2, 0)]


async def test_a_hole_that_the_stream_no_longer_has_is_a_resync(redis: Redis, hub: Hub) -> None:
    chunk, reader = ChunkWriter(redis, window=20), Reader()
    await hub.subscribe(chunk.key, reader.put).ready()
    await chunk.tick()
    for _ in range(50):
        await chunk.tick(heard=False)
    await chunk.tick()
    await reader.until(lambda: Resync(chunk.key) in reader.items)
    await chunk.tick()
    await reader.seen(chunk.last)
    # What the resync's snapshot will hold is not delivered once more, and what comes after it is.
    assert reader.items.count(Resync(chunk.key)) == 1
    assert reader.ids == [(1, 0), (53, 0)]


async def test_a_long_hole_is_filled_in_pages(redis: Redis, hub: Hub) -> None:
    chunk, reader = ChunkWriter(redis, window=10_000), Reader()
    await hub.subscribe(chunk.key, reader.put).ready()
    await chunk.tick()
    for _ in range(700):
        await chunk.tick(heard=False)
    await chunk.tick()
    await reader.seen((702, 0))
    assert reader.items == [item for item in reader.items if not isinstance(item, Resync)]
    assert reader.ids == [(tick, 0) for tick in range(1, 703)]


async def test_a_first_entry_that_was_lost_is_found_by_the_second(redis: Redis, hub: Hub) -> None:
    chunk, reader = ChunkWriter(redis), Reader()
    await chunk.tick()
    await hub.subscribe(chunk.key, reader.put).ready()
    await chunk.tick(heard=False)
    await chunk.tick()
    await reader.seen((3, 0))
    assert reader.ids == [(2, 0), (3, 0)]


async def test_reconnecting_fills_what_was_missed_though_nothing_new_comes(redis: Redis, hub: Hub) -> None:
    chunk, empty, reader = ChunkWriter(redis), ChunkWriter(redis, "chunk-1"), Reader()
    await hub.subscribe(chunk.key, reader.put).ready()
    await hub.subscribe(empty.key, reader.put).ready()
    await chunk.tick()
    await reader.seen((1, 0))
    await cut_pubsub(redis)
    await chunk.tick()
    await chunk.tick()
    await empty.tick(100)  # a stream that had no entry when the connection was lost
    await reader.seen((3, 0))
    await reader.seen((100, 0))
    assert sorted(reader.ids) == [(1, 0), (2, 0), (3, 0), (100, 0)]


async def test_a_history_that_went_back_is_a_resync(redis: Redis, hub: Hub) -> None:
    chunk, reader = ChunkWriter(redis), Reader()
    await hub.subscribe(chunk.key, reader.put).ready()
    for _ in range(5):
        await chunk.tick()
    await reader.seen((5, 0))
    await redis.delete(chunk.key)  # the server came back with less than it had said
    await cut_pubsub(redis)
    again = ChunkWriter(redis)
    again.last = (3, 0)
    await again.tick(5, agents=("somebody-else",))
    await reader.until(lambda: Resync(chunk.key) in reader.items)
    await again.tick(6)
    await reader.seen((6, 0))
    assert reader.ids[:5] == [(tick, 0) for tick in range(1, 6)]


async def test_cut_again_and_again_nothing_is_lost_or_doubled(redis: Redis, hub: Hub) -> None:
    chunk, reader, rng = ChunkWriter(redis, window=10_000), Reader(), random.Random(7)
    await hub.subscribe(chunk.key, reader.put).ready()
    for _ in range(400):
        await chunk.tick(heard=rng.random() > 0.1)
        if rng.random() < 0.02:
            await cut_pubsub(redis)
        if rng.random() < 0.1:
            await asyncio.sleep(0.01)
    await chunk.tick()
    await reader.seen(chunk.last)
    assert reader.ids == [(tick, 0) for tick in range(1, 402)]


async def test_ten_thousand_come_and_go_and_leave_nothing(redis: Redis, hub: Hub) -> None:
    rng = random.Random(3)
    tasks_before = len(asyncio.all_tasks())

    async def visit(key: str, *, wait: bool) -> None:
        subscription = hub.subscribe(key, Reader().put)
        try:
            if wait:
                await subscription.ready()
        finally:
            subscription.close()
            subscription.close()

    for _ in range(100):
        keys = [f"stream:chunk:chunk-{rng.randrange(40)}" for _ in range(100)]
        await asyncio.gather(*(visit(key, wait=rng.random() < 0.7) for key in keys))
    await eventually(lambda: hub.channel_count == 0)
    assert hub.subscriber_count == 0
    assert len(asyncio.all_tasks()) == tasks_before
    assert await redis.pubsub_channels() == []


async def test_leaving_and_coming_back_at_once_hears_everything(redis: Redis, hub: Hub) -> None:
    chunk = ChunkWriter(redis)
    for round_ in range(100):
        reader = Reader()
        first = hub.subscribe(chunk.key, reader.put)
        if round_ % 2:
            await first.ready()
        first.close()
        again = hub.subscribe(chunk.key, reader.put)
        await again.ready()
        at = await chunk.tick()
        await reader.seen(at)
        assert reader.ids == [at]
        again.close()


async def test_closed_means_closed_at_once(redis: Redis, hub: Hub) -> None:
    chunk, gone, stays = ChunkWriter(redis), Reader(), Reader()
    subscription = hub.subscribe(chunk.key, gone.put)
    await subscription.ready()
    await hub.subscribe(chunk.key, stays.put).ready()
    await chunk.tick()
    await stays.seen((1, 0))
    subscription.close()
    await chunk.tick()
    await stays.seen((2, 0))
    assert gone.ids == [(1, 0)]
    with pytest.raises(HubUnavailable):
        await subscription.ready()


async def test_control_messages_are_raw_and_a_loss_is_told(redis: Redis, hub: Hub) -> None:
    heard: list[bytes | None] = []
    await hub.listen("ctl:sessions", heard.append).ready()
    await redis.publish("ctl:sessions", "jti jti_1")
    await eventually(lambda: b"jti jti_1" in heard)
    heard.clear()
    await cut_pubsub(redis)
    await eventually(lambda: heard == [None])


async def test_rubbish_in_a_stream_is_left_out(redis: Redis, hub: Hub) -> None:
    chunk, reader = ChunkWriter(redis), Reader()
    await hub.subscribe(chunk.key, reader.put).ready()
    await redis.publish(chunk.key, "not an entry")
    await chunk.tick()
    await reader.seen((1, 0))
    assert hub.bad_entries == 1


async def test_without_redis_readiness_says_so() -> None:
    client = connect("redis://127.0.0.1:1/0")
    hub = Hub(client)
    hub.start()
    subscription = hub.subscribe("stream:chunk:chunk-0", Reader().put)
    with pytest.raises(HubUnavailable):
        await subscription.ready(timeout_s=0.2)
    subscription.close()
    assert hub.channel_count == 0
    await hub.close()
    await client.aclose()
