"""When something happened in a chunk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store import chunk_marks, event_log
from store.chunk_marks import Mark, Marks, read_marks
from store.event_log import LogRow

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


@pytest.fixture
def engine(fresh_engine: AsyncEngine) -> AsyncEngine:
    return fresh_engine


def row(
    tick: int, kind: str, number: int = 0, chunk_id: str = "chunk-0", payload: str = "{}", *, run: str = "run_1"
) -> LogRow:
    at = NOON + timedelta(milliseconds=200 * tick)
    entry_id = f"{int(at.timestamp() * 1000)}-{number}"
    return LogRow(entry_id, run, tick, chunk_id, "a-1", kind, payload)


async def marks(engine: AsyncEngine, *, first: int = 0, last: int = 99, **more: Any) -> Marks:
    times = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
    times = more.get("times", times)
    return await read_marks(engine, "run_1", "chunk-0", (first, last), times, size=more.get("size", 10))


async def test_counts_by_kind_and_part(engine: AsyncEngine) -> None:
    there = '{"to_chunk_id": "chunk-1"}'
    here = '{"to_chunk_id": "chunk-0"}'
    await event_log.insert(
        engine,
        [
            row(3, "chat"),
            row(7, "chat", 1),
            row(12, "chat"),
            row(12, "harvest", 1),
            row(13, "result"),
            row(20, "crossing", payload=there),
            row(31, "crossing", chunk_id="chunk-1", payload=here),
            row(40, "crossing", chunk_id="chunk-1", payload=there),
            row(50, "join"),
            row(60, "leave"),
            row(70, "chat", chunk_id="chunk-7"),
            row(100, "chat"),
        ],
    )
    found = await marks(engine)
    assert found.known_from == 0
    assert found.marks == [
        Mark(3, "chat", 2),
        Mark(12, "chat", 1),
        Mark(12, "harvest", 1),
        Mark(20, "crossing", 1),
        Mark(31, "crossing", 1),
        Mark(50, "join", 1),
        Mark(60, "leave", 1),
    ]
    assert [mark.tick for mark in (await marks(engine, first=12, last=31)).marks] == [12, 12, 20, 31]
    long_ago = NOON - timedelta(days=2), NOON - timedelta(days=1)
    assert (await marks(engine, times=long_ago)).marks == []


async def test_of_very_many_the_newest_count(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_marks, "FACTS_MOST", 4)
    await event_log.insert(engine, [row(tick, "chat") for tick in range(10)])
    found = await marks(engine, size=1)
    assert found.known_from == 7
    assert [mark.tick for mark in found.marks] == [7, 8, 9]


async def test_another_run_of_the_world_is_not_counted(engine: AsyncEngine) -> None:
    here = '{"to_chunk_id": "chunk-0"}'
    await event_log.insert(
        engine,
        [
            row(3, "chat"),
            row(5, "chat", 1, run="run_2"),
            row(31, "crossing", chunk_id="chunk-1", payload=here, run="run_2"),
        ],
    )
    assert (await marks(engine)).marks == [Mark(3, "chat", 1)]
