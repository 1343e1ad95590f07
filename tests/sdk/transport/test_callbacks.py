"""Callbacks: what they are called for, in which order, and that none of them harms the connection."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import pytest

from chunkcrawl.transport.callbacks import RUNNING_MAX, Callbacks
from chunkcrawl.wire.messages import ChunkDelta, Event, Heartbeat
from tests.sdk.builders import delta, event

CHAT = {"type": "chat", "from": "a", "text": "hi"}
TALK = event("chunk_delta", **delta(1, events=[CHAT, {"type": "agent_left", "agent_id": "b"}]))


def test_each_is_called_for_what_it_asked_for() -> None:
    called: list[tuple[str, Any]] = []
    callbacks = Callbacks()

    def note(name: str, got: Any) -> None:
        called.append((name, got))

    for what in ("chat", ChunkDelta, "chunk_delta", Event, Heartbeat, "heartbeat"):
        name = what if isinstance(what, str) else what.__name__
        callbacks.add(what, partial(note, name))
    callbacks.call(TALK)
    assert called == [("ChunkDelta", TALK), ("Event", TALK), ("chunk_delta", TALK), ("chat", CHAT)]
    called.clear()
    callbacks.call(event("heartbeat"))
    assert [name for name, _ in called] == ["Heartbeat", "Event", "heartbeat"]


def test_one_that_was_taken_away_is_not_called() -> None:
    called: list[str] = []
    callbacks = Callbacks()
    take_away = callbacks.add("chat", lambda _: called.append("one"))
    callbacks.add("chat", lambda _: called.append("other"))
    take_away()
    take_away()
    callbacks.call(TALK)
    assert called == ["other"]


def test_one_that_fails_is_logged_and_the_others_are_called(caplog: pytest.LogCaptureFixture) -> None:
    called: list[Any] = []
    callbacks = Callbacks()

    def bad(_: Any) -> None:
        raise ValueError("mine")

    callbacks.add("chat", bad)
    callbacks.add("chat", called.append)
    callbacks.call(TALK)
    callbacks.call(TALK)
    assert called == [CHAT, CHAT]
    assert sum("bad failed" in record.getMessage() for record in caplog.records) == 2


async def test_coroutines_run_beside_and_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    gate, started = asyncio.Event(), 0
    callbacks = Callbacks()

    async def slow(_: Any) -> None:
        nonlocal started
        started += 1
        await gate.wait()
        raise ValueError("late")

    callbacks.add("chat", slow)
    with caplog.at_level(logging.WARNING):
        for _ in range(RUNNING_MAX + 5):
            callbacks.call(TALK)
        await asyncio.sleep(0)
        assert started == RUNNING_MAX
        assert sum("pass it by" in record.getMessage() for record in caplog.records) == 1
        gate.set()
        for _ in range(3):
            await asyncio.sleep(0)
    assert sum("slow failed" in record.getMessage() for record in caplog.records) == RUNNING_MAX
    callbacks.call(TALK)
    await asyncio.sleep(0)
    assert started == RUNNING_MAX + 1


async def test_closing_cancels_what_is_under_way() -> None:
    callbacks, ended = Callbacks(), []

    async def slow(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    callbacks.add("chat", slow)
    callbacks.call(TALK)
    await asyncio.sleep(0)
    await callbacks.close()
    assert ended == [1]
