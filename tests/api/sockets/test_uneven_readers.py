"""Readers who keep up now and then: what is written directly and what is queued make one stream, without a tear."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from redis.asyncio import Redis

from api.sockets.event_stream import EventStreamProtocol
from api.sockets.frame_protocol import FrameWriter
from tests.api.gates import DEADLINE_S, Gate, receive
from tests.streaming.writer import ChunkWriter

TICKS = 150


def torn(events: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Where deltas do not follow each other, though nothing was said of it."""
    found = []
    last: int | None = None
    for kind, fields in events:
        if kind == "resync_required":
            last = None
        elif kind == "chunk_delta":
            if last is not None and fields["tick"] != last + 1:
                found.append(f"{fields['tick']} after {last}")
            last = fields["tick"]
    return found


@pytest.mark.parametrize("kind", ["sse", "ws"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_each_delta_comes_once_and_in_order_or_a_resync_is_told(
    gate: Gate, redis: Redis, monkeypatch: pytest.MonkeyPatch, kind: str, seed: int
) -> None:
    chunk, dice = ChunkWriter(redis), random.Random(seed)
    writer = EventStreamProtocol if kind == "sse" else FrameWriter
    takes, taken = writer.takes, Counter[bool]()

    def now_and_then(self: Any, most: int) -> bool:
        """Whether there is room, as seen by a reader whose buffers are full for a moment."""
        taken[room := takes(self, most) and dice.random() < 0.6] += 1
        return room

    monkeypatch.setattr(writer, "takes", now_and_then)
    await chunk.create()
    first = (await chunk.tick())[0]
    token = await gate.token("spectator")
    events: list[tuple[str, dict[str, Any]]] = []

    async def write() -> None:
        for _ in range(TICKS):
            at = (chunk.last[0] + 1, 0)
            filler = "x" * dice.choice([10, 200, 70_000])
            await chunk.add(at, "chunk_delta", {"chunk_id": "chunk-0", "tick": at[0], "filler": filler})
            await asyncio.sleep(dice.choice([0, 0, 0.002, 0.01]))

    async def take(reader: Any) -> None:
        if kind == "sse":
            (event,) = await reader.take(1)
            events.append((event.kind, event.data))
        else:
            message = await receive(reader)
            events.append((message["type"], message["payload"]))

    path = f"/v1/spectate/{'stream' if kind == 'sse' else 'ws'}?chunk_id=chunk-0"
    options: dict[str, Any] = {} if kind == "sse" else {"max_queue": 1}
    async with gate.sse(path, token) if kind == "sse" else gate.ws(path, token, **options) as reader:
        while not events or events[-1][0] != "chunk_delta":
            await take(reader)
        writing = asyncio.create_task(write())
        async with asyncio.timeout(DEADLINE_S):
            while events[-1][1].get("tick") != first + TICKS:
                await take(reader)
                if dice.random() < 0.1:
                    await asyncio.sleep(dice.choice([0.01, 0.1]))
        await writing
    assert torn(events) == []
    assert min(taken[True], taken[False]) > TICKS / 10
    await gate.idle()
