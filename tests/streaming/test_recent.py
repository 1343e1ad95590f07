"""What a chunk's stream has of late: in order, bounded, and as far as it can be read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis

from streaming import keys, recent
from streaming.recent import read_recent


async def put(redis: Any, tick: int, agents: dict[str, tuple[int, int]], events: int = 0, seq: int = 0) -> None:
    seats = [{"id": name, "x": x, "y": y, "activity_state": "idle"} for name, (x, y) in agents.items()]
    happened = [{"type": "chat", "from": "a", "text": f"{tick} {n}"} for n in range(events)]
    delta = {"chunk_id": "chunk-0", "tick": tick, "agents": seats, "events": happened}
    message = f"0-0 chunk_delta {1000 * tick} t-1\n{json.dumps(delta)}".encode()
    await redis.xadd(keys.chunk_stream("chunk-0"), {"m": message}, f"{tick}-{seq}")


async def test_a_chunk_without_a_stream_has_nothing(redis: Redis) -> None:
    found = await read_recent(redis, "chunk-9")
    assert (found.from_tick, found.to_tick, found.events, found.trails) == (None, None, [], {})


async def test_all_pages_are_read_oldest_first(redis: Redis) -> None:
    for tick in range(1, 151):
        await put(redis, tick, {"a": (tick % 50, 0), "b": (7, 7)}, events=tick % 2)
    found = await read_recent(redis, "chunk-0")
    assert (found.from_tick, found.to_tick) == (1, 150)
    assert [event["tick"] for event in found.events] == list(range(1, 151, 2))
    assert found.events[0] == {"tick": 1, "index": 0, "at": 1000, "event": {"type": "chat", "from": "a", "text": "1 0"}}
    assert len(found.trails["a"]) == 150
    assert found.trails["b"] == [(1, 7, 7)]


async def test_everything_has_a_bound_and_the_newest_stays(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "ENTRIES_MAX", 64)
    monkeypatch.setattr(recent, "EVENTS_MAX", 10)
    monkeypatch.setattr(recent, "AGENTS_MAX", 2)
    for tick in range(1, 201):
        await put(redis, tick, {"a": (1, 1), "b": (2, 2), "c": (3, 3)}, events=1)
    found = await read_recent(redis, "chunk-0")
    assert (found.from_tick, found.to_tick) == (137, 200)
    assert [event["tick"] for event in found.events] == list(range(191, 201))
    assert set(found.trails) == {"a", "b"}


async def test_what_can_not_be_read_ends_it(redis: Redis) -> None:
    await put(redis, 1, {})
    await redis.xadd(keys.chunk_stream("chunk-0"), {"m": b"no event"}, "2-0")
    await put(redis, 3, {})
    assert (await read_recent(redis, "chunk-0")).from_tick == 3


async def test_others_have_their_turns_while_it_is_read(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    for tick in range(1, 65):
        await put(redis, tick, {"a": (tick % 50, 0)})
    at_most = turns = 0

    def read(self: recent.Recent, delta: dict[str, Any], ts_ms: int) -> None:
        nonlocal at_most
        in_this_turn.append(delta["tick"])
        at_most = max(at_most, len(in_this_turn))

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            in_this_turn.clear()
            await asyncio.sleep(0)

    in_this_turn: list[int] = []
    monkeypatch.setattr(recent.Recent, "add", read)
    task = asyncio.create_task(others())
    await read_recent(redis, "chunk-0")
    task.cancel()
    assert 0 < at_most <= recent.READ_AT_ONCE
    assert turns >= 4
