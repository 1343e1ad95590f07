"""Playing the past and going on live, over a past that is a list and a real stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from config.errors import TryAgain
from recordings.past_page import Gap, PastDelta, PastPage
from streaming.hub import Hub
from streaming.newest_deltas import page_of_stream
from streaming.rewind import Rewind
from streaming.snapshot import Snapshots
from streaming.subscriber_queue import Closed, SubscriberQueue
from streaming.watch import Shown, Watch
from tests.streaming.writer import ChunkWriter, delta_payload, twenty_ticks

DEADLINE_S = 20.0


class Away(TryAgain):
    reason = "away"


class Pages:
    """Pages of a few ticks out of a list, and after it those of the stream."""

    def __init__(
        self, redis: Redis, recorded: dict[int, bytes], *, size: int = 3, gap: Gap | None = None, stream: bool = True
    ) -> None:
        self.redis = redis
        self.stream = stream
        self.recorded = recorded
        self.size = size
        self.gap = gap
        self.refusals = 0
        self.full = False
        self.played = 0

    @contextmanager
    def playing(self) -> Iterator[bool]:
        self.played += 1
        yield not self.full
        self.played -= 1

    async def page(self, chunk_id: str, first: int, last: int, limit: int) -> PastPage:
        if self.refusals:
            self.refusals -= 1
            raise Away
        found = await page_of_stream(self.redis, chunk_id, first, last, limit) if self.stream else None
        if found is not None:
            return found
        page = PastPage(chunk_id, first, first - 1, static=b'{"tiles":[]}', state=b'{"tick":0,"events":[]}')
        if self.gap is not None and first == self.gap.first:
            page.gap, page.last = self.gap, self.gap.last
        end = self.gap.first if self.gap is not None and first < self.gap.first else 10**14
        some = [tick for tick in sorted(self.recorded) if page.last < tick < end][: self.size]
        page.deltas = [PastDelta(tick, self.recorded[tick], 1_000) for tick in some]
        page.last = max([page.last, *some])
        page.ended = not some
        return page


@pytest.fixture
async def chunk(redis: Redis) -> ChunkWriter:
    """Ticks up to 20, of which the stream has those from 6 on."""
    return await twenty_ticks(redis)


RECORDED = {tick: orjson.dumps(delta_payload("chunk-0", tick)) for tick in range(1, 13)}


async def rewind(
    hub: Hub, redis: Redis, pages: Pages, first: int, *, speed: float = 1_000.0, upto: int | None = None
) -> Rewind:
    queue = SubscriberQueue()
    snapshots = Snapshots(redis)
    page = await pages.page("chunk-0", first, 10**14, 100)
    return Rewind(
        pages,
        redis,
        lambda at: Watch(hub, redis, snapshots, "chunk-0", queue, "t", None, at),
        queue,
        page,
        "t",
        {"role": "spectator"},
        hz=5.0,
        speed=speed,
        shown_upto=upto,
    )


async def watch(view: Rewind, until: Any) -> list[Shown]:
    shown: list[Shown] = []
    async with asyncio.timeout(DEADLINE_S), aclosing(view.events()) as events:
        async for some in events:
            shown += some
            if until(shown):
                return shown
    return shown


def ids(shown: list[Shown]) -> list[str]:
    return [id_ for _, id_ in shown if id_ is not None]


def expected(*ticks: int) -> list[str]:
    return [f"chunk-0:{tick}:0" for tick in ticks]


def states(shown: list[Shown]) -> list[Any]:
    return [event.fields()["state"] for event, _ in shown if event.kind == "playback"]


async def test_past_then_present_without_a_seam(hub: Hub, redis: Redis, chunk: ChunkWriter) -> None:
    """Ticks happen at every moment of it; each is shown once, and all are."""
    pages = Pages(redis, RECORDED)
    chunk.window = 10_000  # whatever the pace here, the stream is not cut behind the reader
    view = await rewind(hub, redis, pages, 2)

    def until(shown: list[Shown]) -> bool:
        return ids(shown)[-1:] == expected(60)

    async def go_on() -> None:
        while chunk.last[0] < 60:
            await chunk.tick()
            await asyncio.sleep(0.003)

    going_on = asyncio.create_task(go_on())
    shown = await watch(view, until)
    await going_on
    kinds = [event.kind for event, _ in shown]
    assert kinds[:4] == ["session_ready", "playback", "chunk_static", "chunk_delta"]
    assert kinds.count("chunk_static") == 1
    assert ids(shown) == expected(*range(2, 61))
    assert states(shown) == ["playing", "live"]
    assert pages.played == 0


async def test_the_bytes_are_those_of_the_past(hub: Hub, redis: Redis, chunk: ChunkWriter) -> None:
    shown = await watch(await rewind(hub, redis, Pages(redis, RECORDED), 3), lambda all_: len(ids(all_)) == 2)
    event = next(event for event, id_ in shown if id_ == "chunk-0:3:0")
    assert event.payload == RECORDED[3]
    assert event.trace_id == "tick-3"


async def test_it_is_resumed(hub: Hub, redis: Redis, chunk: ChunkWriter) -> None:
    """Who has seen a tick is shown what comes after it, and no state in between."""
    view = await rewind(hub, redis, Pages(redis, RECORDED), 5, upto=4)
    shown = await watch(view, lambda all_: ids(all_)[-1:] == expected(20))
    assert ids(shown) == expected(*range(5, 21))
    assert "chunk_static" not in [event.kind for event, _ in shown]


async def test_a_gap_is_said_and_not_waited_through(hub: Hub, redis: Redis, chunk: ChunkWriter) -> None:
    """At a speed at which the ticks between would take minutes."""
    recorded = {tick: data for tick, data in RECORDED.items() if tick <= 2} | {5_000: b"{}", 5_001: b"{}"}
    pages = Pages(redis, recorded, gap=Gap(3, 4_999, "missing"), stream=False)
    view = await rewind(hub, redis, pages, 1, speed=32.0)
    shown = await watch(view, lambda all_: ids(all_)[-1:] == expected(5_000))
    assert states(shown) == ["playing", "gap"]
    gap = next(event.fields() for event, _ in shown if event.kind == "playback" and event.fields()["state"] == "gap")
    assert (gap["from_tick"], gap["to_tick"], gap["reason"]) == (3, 4_999, "missing")
    kinds = [event.kind for event, _ in shown]
    assert kinds.count("chunk_static") == 2, "the state follows a gap"


async def test_heartbeats_while_nothing_is_due(hub: Hub, redis: Redis, chunk: ChunkWriter) -> None:
    view = await rewind(hub, redis, Pages(redis, {1: b"{}", 100_000: b"{}"}), 1, speed=1.0)

    def until(shown: list[Shown]) -> bool:
        view.queue.beat()
        return [event.kind for event, _ in shown].count("heartbeat") == 2

    shown = await watch(view, until)
    assert shown[-1][0].fields() == {"chunk_id": "chunk-0", "tick": 1}


async def test_it_is_sent_away(hub: Hub, redis: Redis, chunk: ChunkWriter) -> None:
    view = await rewind(hub, redis, Pages(redis, {1: b"{}", 100_000: b"{}"}), 1, speed=1.0)

    def until(shown: list[Shown]) -> bool:
        if ids(shown):
            view.queue.close(4_000, "gone")
        return False

    with pytest.raises(Closed):
        await watch(view, until)


async def test_too_many_play(hub: Hub, redis: Redis, chunk: ChunkWriter) -> None:
    pages = Pages(redis, RECORDED)
    pages.full = True
    with pytest.raises(TimeoutError):
        await watch(await rewind(hub, redis, pages, 1), lambda _: False)


async def test_a_refused_page_is_asked_for_again(
    hub: Hub, redis: Redis, chunk: ChunkWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.playing.TRY_AGAIN_S", 0.001)
    pages = Pages(redis, RECORDED)
    view = await rewind(hub, redis, pages, 1)
    pages.refusals = 3
    shown = await watch(view, lambda all_: ids(all_)[-1:] == expected(20))
    assert ids(shown) == expected(*range(1, 21))
    view = await rewind(hub, redis, pages, 1)
    pages.refusals = 100
    with pytest.raises(TimeoutError):
        await watch(view, lambda _: False)
