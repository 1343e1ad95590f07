from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from config.errors import TryAgain
from streaming.entry import SharedEvent, notice
from streaming.playing import TRIES, asked_again, until_due
from streaming.subscriber_queue import Closed, SubscriberQueue

LONG_S = 20.0


class Away(TryAgain):
    reason = "away"


def beat() -> SharedEvent:
    return notice("heartbeat", {}, 1, "t")


async def test_what_the_gateway_says_and_heartbeats_go_on_meanwhile() -> None:
    queue = SubscriberQueue()
    said: list[str] = []
    left = 2
    async with asyncio.timeout(LONG_S), aclosing(until_due(queue, lambda: LONG_S if left else 0.0, beat)) as waiting:
        queue.put(notice("notice", {"text": "hello"}, 1, "t"))
        async for events in waiting:
            said += [event.kind for event in events]
            left -= 1
            queue.beat()
    assert said == ["notice", "heartbeat"]


async def test_who_is_closed_ends() -> None:
    queue = SubscriberQueue()
    queue.close(4003, "revoked")
    for wait_s in (0.0, LONG_S):
        with pytest.raises(Closed):
            async for _ in until_due(queue, lambda wait_s=wait_s: wait_s, beat):  # type: ignore[misc]
                pass


async def test_it_is_asked_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.playing.TRY_AGAIN_S", 0.0)
    asked = 0

    async def ask(refusals: int) -> int:
        nonlocal asked
        asked += 1
        if asked <= refusals:
            raise Away
        return 7

    assert await asked_again(lambda: ask(2)) == 7
    asked = 0
    with pytest.raises(TimeoutError, match="the past is away"):
        await asked_again(lambda: ask(TRIES))
    assert asked == TRIES
