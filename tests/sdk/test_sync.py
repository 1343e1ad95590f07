"""The agent without asyncio: one thread and loop for all, results and errors as they are, interrupts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from chunkcrawl import agent as asynchronous
from chunkcrawl import sync
from chunkcrawl.errors import Blocked, InvalidSession
from chunkcrawl.journeys.outcomes import Arrived
from chunkcrawl.wire.messages import ChunkDelta, Event
from tests.sdk.fake_server import FakeServer

LOOP = sync._LOOP
CONNECT = asynchronous.Agent.connect


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    stack = AsyncExitStack()

    async def start() -> FakeServer:
        return await stack.enter_async_context(FakeServer().running())

    running = LOOP.run(start())

    def connect(base: str, **more: Any) -> asynchronous.Agent:
        return CONNECT(base, **more, api=running.api())

    monkeypatch.setattr(asynchronous.Agent, "connect", connect)
    yield running
    LOOP.run(stack.aclose())


def agent(server: FakeServer, key: str = "dcw_good") -> sync.Agent:
    return sync.Agent.connect(server.base, agent_id="scout", api_key=key)


def test_commands_wait_and_the_view_follows(server: FakeServer) -> None:
    with agent(server) as me:
        assert (me.agent_id, me.chunk_id, me.position) == ("scout", "chunk-0", (1, 1))
        completed = me.move_to(3, 3)
        assert completed.ended_tick == me.view.tick
        me.say("hello")
        assert me.go_to("chunk-0", 1, 1) == Arrived("chunk-0", 1, 1)
        assert list(me.map.chunks) == ["chunk-0"]
    assert [cmd["type"] for cmd in server.commands] == ["move_to", "say", "move_to"]
    assert server.live_tokens == set()


def test_errors_are_the_same(server: FakeServer) -> None:
    with pytest.raises(InvalidSession), agent(server, "dcw_bad"):
        pass
    server.faults = ["block"]
    with agent(server) as me, pytest.raises(Blocked):
        me.move_to(3, 3)


def test_all_agents_share_one_thread(server: FakeServer) -> None:
    before = threading.active_count()
    with agent(server) as me, agent(server):
        assert threading.active_count() == before
        assert me.me is not None


def test_events_are_iterated_and_called_back(server: FakeServer) -> None:
    heard: list[Event] = []
    with agent(server) as me:
        events = me.events()
        stop = me.on(ChunkDelta, heard.append)
        me.move_to(3, 3)
        seen = next(event for event in events if isinstance(event, ChunkDelta))
        assert heard[0] is seen
        stop()
        count = len(heard)
        me.move_to(1, 1)
        assert len(heard) == count
        assert me.wait_until(lambda view: view.position == (1, 1), 5)
        assert not me.wait_until(lambda view: False, 0.01)
    assert all(isinstance(event, Event) for event in events)  # it ends


@pytest.mark.timeout(20)
def test_an_interrupt_cancels_what_is_waited_for(server: FakeServer) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def interrupt() -> None:
        begun.wait(5)
        main = threading.main_thread().ident
        while sys._current_frames()[main or 0].f_code.co_name != "wait":  # inside the future's condition
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        LOOP.run(forever())
    assert cancelled.wait(5)
