"""The place in an agent's stream after what a recording has shown."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from recordings.agent_page import BEFORE_DELTA, OrderPlace, Told
from streaming import keys
from streaming.agent_seam import entry_upto, ms_of, reached
from streaming.shared_clock import now_ms
from tests.streaming.wanderer import AGENT, BEGAN_MS, TICK_MS, Story
from tests.streaming.writer import AgentWriter, ChunkWriter, read_events


@pytest.fixture
async def story(redis: Redis) -> Story:
    story = Story(redis, 3)
    await story.begin()
    await story.steps(60)
    return story


async def number(redis: Redis, last: Told | None, ms: int = 0) -> int | None:
    found = await reached(redis, AGENT, last, ms)
    return None if found is None else found.number


async def test_every_event_is_found_by_its_bytes_and_where_it_left_the_agent(redis: Redis, story: Story) -> None:
    events = await read_events(redis, AGENT)
    assert len(events) > 20
    here: str | None = None
    moved = False
    for event in events:
        told = Told(1, OrderPlace(1, BEFORE_DELTA), event.kind, event.trace_id, event.payload, 1)
        found = await reached(redis, AGENT, told, 0)
        assert found is not None
        assert found.number == event.id[0]
        if event.kind in ("chunk_transition", "agent_placed", "agent_removed"):
            fields = event.fields()
            here, moved = fields.get("to_chunk_id", fields.get("chunk_id")), True  # type: ignore[assignment]
        assert (found.move is not None) == moved
        assert found.move is None or found.move.chunk_id == here
    unknown = Told(1, OrderPlace(1, BEFORE_DELTA), "command_ack", "t", b'{"count":0}', 1)
    assert await number(redis, unknown) is None


async def test_by_a_moment_where_none_was_shown(redis: Redis, story: Story) -> None:
    events = await read_events(redis, AGENT)
    for event in events:
        known = [one.id[0] for one in events if one.ts_ms <= event.ts_ms]
        assert await number(redis, None, event.ts_ms) == known[-1]
    assert await number(redis, None, events[0].ts_ms - 1) == 0
    await redis.xtrim(keys.agent_stream(AGENT), maxlen=3, approximate=False)
    assert await number(redis, None, events[0].ts_ms) is None


async def test_an_agent_whose_stream_is_gone(redis: Redis) -> None:
    agent = AgentWriter(redis, AGENT)
    assert await number(redis, None, 5) == 0
    await agent.event("command_ack")
    await redis.delete(keys.agent_stream(AGENT))
    assert await number(redis, None, 5) == 1


async def test_when_a_tick_was(redis: Redis, story: Story) -> None:
    chunk = next(iter(story.commits[-1].deltas), "chunk-0")
    known = story.last[chunk][0]
    assert await ms_of(redis, chunk, known, 5.0) == BEGAN_MS + known * TICK_MS
    assert await ms_of(redis, chunk, known + 3, 5.0) == BEGAN_MS + (known + 3) * TICK_MS
    assert await ms_of(redis, chunk, 1, 5.0) == BEGAN_MS + TICK_MS
    assert await ms_of(redis, "chunk-99", 1, 5.0) <= now_ms()


async def test_a_chunks_newest_entry_up_to_a_tick(redis: Redis) -> None:
    chunk = ChunkWriter(redis)
    for tick in (3, 7):
        await chunk.tick(tick)
    assert [await entry_upto(redis, "chunk-0", tick) for tick in (2, 3, 6, 9)] == [(2, 0), (3, 0), (3, 0), (7, 0)]
