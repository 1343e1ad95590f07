"""A spectator's view: start, resume, resync, closing, and the seam under random drops."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from streaming import keys
from streaming.hub import Hub
from streaming.snapshot import Snapshots
from streaming.subscriber_queue import Closed, SubscriberQueue
from streaming.watch import Shown, Watch
from tests.streaming.writer import ChunkWriter, cut_pubsub

DEADLINE_S = 20.0


class Spectator:
    """Watches as a client does: keeps what it is sent and the last id."""

    def __init__(self, hub: Hub, redis: Redis, chunk_id: str = "chunk-0", capacity: int = 64) -> None:
        self.hub = hub
        self.redis = redis
        self.chunk_id = chunk_id
        self.capacity = capacity
        self.shown: list[Shown] = []
        self.last_event_id: str | None = None
        self.queue = SubscriberQueue(capacity)
        self.snapshots = Snapshots(redis)

    async def watch(self, until: Any = None, *, batches: int = 10**9) -> None:
        """Watch until an event satisfies ``until``, or so many batches came; then drop the connection."""
        self.queue = SubscriberQueue(self.capacity)
        view = Watch(
            self.hub, self.redis, self.snapshots, self.chunk_id, self.queue, "conn-1", None, self.last_event_id
        )
        async with asyncio.timeout(DEADLINE_S), aclosing(view.events()) as events:
            async for some in events:
                for shown in some:
                    self.shown.append(shown)
                    self.last_event_id = shown[1] or self.last_event_id
                    if until is not None and until(shown):
                        return
                batches -= 1
                if batches <= 0:
                    return

    async def watch_upto(self, id_: tuple[int, int]) -> None:
        await self.watch(lambda shown: shown[0].id == id_)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event, _ in self.shown]

    @property
    def ids(self) -> list[str]:
        return [id_ for _, id_ in self.shown if id_ is not None]


async def chunk_with(redis: Redis, ticks: int, **options: Any) -> ChunkWriter:
    chunk = ChunkWriter(redis, **options)
    await chunk.create()
    for _ in range(ticks):
        await chunk.tick()
    return chunk


async def test_a_new_spectator_sees_the_present_then_what_comes(redis: Redis, hub: Hub) -> None:
    chunk = await chunk_with(redis, 3)
    spectator = Spectator(hub, redis)
    watching = asyncio.create_task(spectator.watch_upto((5, 0)))
    while len(spectator.shown) < 2:
        await asyncio.sleep(0.005)
    await chunk.tick()
    await chunk.tick()
    await watching
    assert spectator.kinds == ["chunk_static", *["chunk_delta"] * 3]
    assert spectator.ids == ["chunk-0:3:0", "chunk-0:4:0", "chunk-0:5:0"]


async def test_a_chunk_without_a_delta_waits_for_its_first(redis: Redis, hub: Hub) -> None:
    chunk = await chunk_with(redis, 0)
    spectator = Spectator(hub, redis)
    watching = asyncio.create_task(spectator.watch_upto((9, 1)))
    while not spectator.shown:
        await asyncio.sleep(0.005)
    await chunk.tick(9, seq=1)
    await watching
    assert spectator.kinds == ["chunk_static", "chunk_delta"]


async def test_resuming_gives_what_was_missed_each_once(redis: Redis, hub: Hub) -> None:
    chunk = await chunk_with(redis, 3)
    spectator = Spectator(hub, redis)
    await spectator.watch(batches=1)
    for _ in range(290):
        await chunk.tick()
    await spectator.watch_upto((293, 0))
    assert spectator.kinds == ["chunk_static", *["chunk_delta"] * 291]
    assert spectator.ids == [f"chunk-0:{tick}:0" for tick in range(3, 294)]


async def test_resuming_twice_from_the_newest_replays_nothing(redis: Redis, hub: Hub) -> None:
    chunk = await chunk_with(redis, 3)
    spectator = Spectator(hub, redis)
    await spectator.watch(batches=1)
    shown = list(spectator.shown)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await spectator.watch()
        assert spectator.shown == shown
    await chunk.tick()
    await spectator.watch_upto((4, 0))
    assert spectator.ids == ["chunk-0:3:0", "chunk-0:4:0"]


async def test_a_quiet_chunk_is_no_loss(redis: Redis, hub: Hub) -> None:
    chunk = await chunk_with(redis, 3, window=50)
    spectator = Spectator(hub, redis)
    await spectator.watch(batches=1)
    await chunk.tick(5_000)  # trims the entry that the spectator saw last; still nothing was missed
    await spectator.watch_upto((5_000, 0))
    assert spectator.kinds == ["chunk_static", "chunk_delta", "chunk_delta"]


USELESS_AT_1000 = {
    "trimmed": "chunk-0:10:0",
    "ahead": "chunk-0:999999:0",
    "of another chunk": "chunk-7:990:0",
    "a seq that never was": "chunk-0:990:77",
    "the beginning": "chunk-0:0:0",
    "empty": "",
    "not an id": "abc",
    "underscore": "chunk-0:1_000:0",
    "sign": "chunk-0:+5:0",
    "negative": "chunk-0:-1:0",
    "full-width": "chunk-0:\uff11\uff10:0",
    "long": "x" * 10_000,
    "beyond 64 bits": "chunk-0:99999999999999999999:0",
    "a follower's": "chunk-0:990:0:5",
}


@pytest.mark.parametrize("last_event_id", USELESS_AT_1000.values(), ids=USELESS_AT_1000.keys())
async def test_every_useless_id_is_a_resync(redis: Redis, hub: Hub, last_event_id: str) -> None:
    chunk = await chunk_with(redis, 0, window=50)
    for tick in range(930, 1001):
        await chunk.tick(tick)
    spectator = Spectator(hub, redis)
    spectator.last_event_id = last_event_id
    watching = asyncio.create_task(spectator.watch_upto((1001, 0)))
    while len(spectator.shown) < 3:
        await asyncio.sleep(0.005)
    await chunk.tick()
    await watching
    assert spectator.kinds == ["resync_required", "chunk_static", "chunk_delta", "chunk_delta"]
    assert spectator.ids == ["chunk-0:1000:0", "chunk-0:1001:0"]
    said = spectator.shown[0][0].fields()
    assert said["snapshot_url"] == "/v1/chunks/chunk-0/snapshot"
    assert said["chunk_id"] == "chunk-0"
    assert said["reason"]


async def test_the_edge_of_the_window_while_it_moves_is_replayed_or_resynced(redis: Redis, hub: Hub) -> None:
    chunk = await chunk_with(redis, 300, window=200)

    enough = asyncio.Event()

    async def trim() -> None:
        while not enough.is_set():
            await chunk.tick()
            await asyncio.sleep(0)

    trimming = asyncio.create_task(trim())
    for _ in range(60):
        spectator = Spectator(hub, redis)
        spectator.last_event_id = start = f"chunk-0:{chunk.last[0] - 200}:0"
        await spectator.watch(batches=3)
        ticks = [int(id_.split(":")[1]) for id_ in spectator.ids]
        assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
        if "resync_required" not in spectator.kinds:
            assert ticks[0] == int(start.split(":")[1]) + 1
    enough.set()
    await trimming


async def test_a_closed_chunk_ends_the_stream(redis: Redis, hub: Hub) -> None:
    chunk = await chunk_with(redis, 3)
    spectator = Spectator(hub, redis)
    watching = asyncio.create_task(spectator.watch())
    while not spectator.shown:
        await asyncio.sleep(0.005)
    await chunk.close()
    await watching
    assert spectator.kinds == ["chunk_static", "chunk_delta", "chunk_closed"]
    late = Spectator(hub, redis)
    late.last_event_id = "chunk-0:3:0"
    await late.watch()
    assert late.kinds == ["resync_required", "chunk_closed"]


async def test_a_slow_spectator_is_resynced_and_its_memory_bounded(redis: Redis, hub: Hub) -> None:
    chunk = await chunk_with(redis, 1)
    spectator = Spectator(hub, redis, capacity=8)
    queue = SubscriberQueue(8)
    view = Watch(hub, redis, Snapshots(redis), "chunk-0", queue, "conn-1")
    async with aclosing(view.events()) as events:
        spectator.shown += await anext(events)
        for _ in range(200):
            await chunk.tick()  # nobody takes
            assert len(queue) <= 8
        while queue.dropped == 0:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        spectator.shown += await anext(events)
        await chunk.tick()
        spectator.shown += await anext(events)
    assert spectator.kinds == [
        "chunk_static",
        "chunk_delta",
        "resync_required",
        "chunk_static",
        "chunk_delta",
        "chunk_delta",
    ]
    assert spectator.ids[-2:] == ["chunk-0:201:0", "chunk-0:202:0"]


async def test_heartbeats_and_closing_reach_an_idle_reader(redis: Redis, hub: Hub) -> None:
    await chunk_with(redis, 1)
    queue = SubscriberQueue()
    async with aclosing(Watch(hub, redis, Snapshots(redis), "chunk-0", queue, "conn-1").events()) as events:
        await anext(events)
        queue.beat()
        ((event, id_),) = await anext(events)
        assert (event.kind, id_) == ("heartbeat", None)
        queue.close(1012, "drain")
        with pytest.raises(Closed):
            await anext(events)
    assert hub.subscriber_count == 0


async def test_digests_come_with_heartbeats_each_once(redis: Redis, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever keeps them; nothing else changes for a reader that does not know them."""
    monkeypatch.setattr("streaming.digests.FRESH_S", -1.0)
    await chunk_with(redis, 1)

    async def tell(*ticks: int) -> None:
        for tick in ticks:
            await redis.xadd(
                keys.chunk_digests("chunk-0"), {"digest": f"d{tick}", "chain": "c", "entry": "e"}, f"{tick}-1"
            )

    async def beat(queue: SubscriberQueue, events: Any) -> list[tuple[str, int]]:
        queue.beat()
        shown: list[Shown] = await anext(events)
        assert all(id_ is None for _, id_ in shown)
        return [(event.kind, orjson.loads(event.payload)["tick"]) for event, _ in shown]

    queue = SubscriberQueue()
    async with aclosing(Watch(hub, redis, Snapshots(redis), "chunk-0", queue, "conn-1").events()) as events:
        await anext(events)
        assert [kind for kind, _ in await beat(queue, events)] == ["heartbeat"]
        await tell(50, 100)
        assert (await beat(queue, events))[1:] == [("chunk_digest", 50), ("chunk_digest", 100)]
        assert (await beat(queue, events))[1:] == []
        await tell(150)
        assert (await beat(queue, events))[1:] == [("chunk_digest", 150)]


async def test_two_hundred_random_drops_end_with_the_ids_of_one_who_never_dropped(redis: Redis, hub: Hub) -> None:
    rng = random.Random(11)
    chunk = await chunk_with(redis, 1, window=5_000)
    steady, flighty = Spectator(hub, redis, capacity=5_000), Spectator(hub, redis, capacity=5_000)
    steadily = asyncio.create_task(steady.watch())
    dropped = asyncio.Event()

    async def drop_and_resume() -> None:
        for _ in range(200):
            await flighty.watch(batches=rng.choice((1, 1, 2, 5)))
            await asyncio.sleep(rng.random() * 0.01)
        dropped.set()
        await flighty.watch()

    flightily = asyncio.create_task(drop_and_resume())
    while not (steady.ids and flighty.ids):
        await asyncio.sleep(0.001)
    while not dropped.is_set():
        seq = chunk.last[1] + 1 if rng.random() < 0.2 else 0
        await chunk.tick(chunk.last[0] if seq else None, seq=seq, heard=rng.random() > 0.02)
        if rng.random() < 0.01:
            await cut_pubsub(redis)
        await asyncio.sleep(rng.random() * 0.004)
    await chunk.add((chunk.last[0] + 1, 0), "chunk_closed", {"chunk_id": "chunk-0"})
    await asyncio.gather(steadily, flightily)
    assert "resync_required" not in flighty.kinds + steady.kinds
    assert flighty.ids == steady.ids
    assert len(set(steady.ids)) == len(steady.ids) > 200
