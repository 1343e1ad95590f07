"""Who writes when: the hub straight into the transport, or the reader's task, and that neither overtakes the other."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from api.accounts.auth import Session
from api.sockets.connections import CLOSE_FAILED, Connection, Connections
from api.sockets.direct import WRITE_AHEAD_BYTES, Direct
from api.sockets.socket import Socket, pump
from api.sockets.sse import SseResponse
from api.sockets.streams import Batch
from streaming.connect import connect
from streaming.entry import Entry, Event, EventId, notice
from streaming.gap_detector import Item
from streaming.hub import Hub
from streaming.subscriber_queue import SubscriberQueue
from tests.api.sockets.test_streams import Asgi, Nobody, Writer, accepted
from tests.streaming.writer import agent_event, delta

ENTRIES = [delta("chunk-0", (tick, 0), (tick - 1, 0)) for tick in range(1, 400)]


class Live:
    """A view in its live phase: shows every item, but some not at once."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.queue = SubscriberQueue(1_000, "overflow_close")
        self.asked = 0
        self.willing = at_once

    def at_once(self, item: Item) -> tuple[Event, EventId | None] | tuple[()] | None:
        self.asked += 1
        return (item, item.event_id) if self.willing and isinstance(item, Event) else None

    async def events(self) -> AsyncGenerator[Batch, None]:
        while True:
            items = await self.queue.take()
            await asyncio.sleep(0)  # as one that reads Redis in between
            batch = [(item, item.event_id) for item in items or () if isinstance(item, Event)]
            del items
            yield batch
            del batch


@pytest.fixture
def registry() -> Connections:
    return Connections(Hub(connect("redis://127.0.0.1:1")), Nobody())


def slot(registry: Connections, view: Live) -> Connection:
    return registry.open("agent_ws", Session("jti_1", "agent", "acc_1", "ada", None, "", 2_000_000_000), view.queue)


def frames(entries: list[Entry]) -> list[bytes]:
    return [entry.ws_frame(entry.event_id) for entry in entries]


def test_a_reader_that_keeps_up_is_written_to(registry: Connections) -> None:
    view, writer = Live(), Writer()
    direct = Direct(view, slot(registry, view), writer, Event.ws_frame)
    assert [direct(entry) for entry in ENTRIES[:3]] == [True] * 3
    assert writer.frames == frames(ENTRIES[:3])


@pytest.mark.parametrize("trouble", ["closed", "behind"])
def test_one_that_can_not_be_written_to_keeps_its_place(registry: Connections, trouble: str) -> None:
    view, writer = Live(), Writer()
    writer.open, writer.buffered = trouble != "closed", WRITE_AHEAD_BYTES + 1 if trouble == "behind" else 0
    assert not Direct(view, slot(registry, view), writer, Event.ws_frame)(ENTRIES[0])
    assert (writer.frames, view.asked) == ([], 0), "the view would think that it was shown"


def test_what_is_not_shown_at_all_is_dealt_with(registry: Connections) -> None:
    class Blind(Live):
        def at_once(self, item: Item) -> tuple[()]:
            return ()

    view, writer = Blind(), Writer()
    assert Direct(view, slot(registry, view), writer, Event.ws_frame)(ENTRIES[0])
    assert writer.frames == []


def test_what_the_view_does_not_show_at_once_is_left(registry: Connections) -> None:
    view, writer = Live(at_once=False), Writer()
    assert not Direct(view, slot(registry, view), writer, Event.ws_frame)(ENTRIES[0])
    assert writer.frames == []


async def test_a_failure_closes_that_reader_and_harms_no_other(registry: Connections) -> None:
    class Broken(Writer):
        def push(self, data: bytes) -> None:
            raise RuntimeError("the transport is closed")

    view = Live()
    connection = slot(registry, view)
    assert Direct(view, connection, Broken(), Event.ws_frame)(ENTRIES[0])
    assert connection.queue.closed is not None
    assert connection.queue.closed.code == CLOSE_FAILED


def test_only_the_agents_own_events_are_told_of(registry: Connections) -> None:
    view = Live()
    told: list[Batch] = []
    direct = Direct(view, slot(registry, view), Writer(), Event.ws_frame, told.append)
    ack = agent_event("ada", 1, "command_ack")
    assert direct(ENTRIES[0])
    assert direct(ack)
    assert told == [((ack, None),)]


@pytest.mark.parametrize("seed", range(20))
async def test_direct_and_queued_writes_keep_their_order(
    registry: Connections, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.sockets.socket.WRITE_AGAIN_AFTER_S", 0)
    rng, view, asgi, writer = random.Random(seed), Live(), Asgi(), Writer()
    direct: list[bool] = []
    pumping = asyncio.create_task(pump(Socket(accepted(asgi, writer), view.queue), view, slot(registry, view)))
    await asyncio.sleep(0)
    for entry in ENTRIES:
        view.willing = rng.random() < 0.8
        writer.buffered = rng.choice((0, 0, 0, WRITE_AHEAD_BYTES + 1))
        before = len(writer.frames)
        view.queue.put(entry)
        direct.append(len(writer.frames) > before)
        for _ in range(rng.randrange(5)):
            await asyncio.sleep(0)
    writer.buffered = 0
    async with asyncio.timeout(10):
        while len(writer.frames) < len(ENTRIES):
            await asyncio.sleep(0.01)
    assert writer.frames == frames(ENTRIES)
    assert 0 < sum(direct) < len(ENTRIES)
    view.queue.close(1001, "gone")
    await asyncio.wait_for(pumping, 5)
    assert view.queue.direct is None


BIG = 1_000_000


@pytest.mark.parametrize("kind", ["sse", "ws"])
async def test_a_reader_that_waits_keeps_nothing_of_what_it_was_sent(registry: Connections, kind: str) -> None:
    class Swallowing(Asgi):
        async def send(self, message: Any) -> None:
            pass

    view, asgi = Live(), Swallowing()
    connection = slot(registry, view)
    serving = asyncio.create_task(
        SseResponse(view, connection)(asgi.scope, asgi.receive, asgi.send)
        if kind == "sse"
        else pump(Socket(accepted(asgi, None), view.queue), view, connection)
    )
    await asyncio.sleep(0.01)
    tracemalloc.start()
    try:
        view.queue.put(notice("chunk_static", {"tiles": "#" * BIG}, 1, "t-1"))
        await asyncio.sleep(0.05)
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(view.queue) == 0
    assert most > BIG
    assert now < BIG / 10
    view.queue.close(1001, "gone")
    await asyncio.wait_for(serving, 5)
