"""Snapshots: the newest of each chunk, what thinning leaves, agents' newest records; runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store import runs, snapshots
from store.engine import make_engine
from store.snapshots import AgentState, ChunkState

NOW = datetime(2026, 3, 29, 12, 34, 56, tzinfo=UTC)
KEEP = timedelta(days=3)


@pytest.fixture
async def engine(fresh_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(fresh_postgres_url)
    await runs.begin(engine, "run_1", 1, {})
    yield engine
    await engine.dispose()


async def fill(engine: AsyncEngine, chunk_id: str, ages_min: range, run_id: str = "run_1") -> None:
    """A snapshot of each age in minutes; the tick rises with time."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO snapshots (run_id, chunk_id, tick, taken_at, state)"
                " VALUES (:run_id, :chunk_id, :tick, :at, '{}')"
            ),
            [
                {"run_id": run_id, "chunk_id": chunk_id, "tick": 100_000 - age, "at": NOW - timedelta(minutes=age)}
                for age in ages_min
            ],
        )


async def ages(engine: AsyncEngine, chunk_id: str) -> list[float]:
    """Ages in minutes, youngest first."""
    async with engine.connect() as connection:
        found = await connection.scalars(
            text("SELECT taken_at FROM snapshots WHERE chunk_id = :c ORDER BY taken_at DESC"), {"c": chunk_id}
        )
        return [(NOW - at) / timedelta(minutes=1) for at in found]


async def test_thinning_leaves_minutes_then_tens_then_hours_then_nothing(engine: AsyncEngine) -> None:
    await fill(engine, "chunk-0", range(4 * 24 * 60))
    await snapshots.thin(engine, NOW, KEEP)
    left = await ages(engine, "chunk-0")
    assert left[:60] == list(range(60))
    tens = [age for age in left if 60 <= age < 24 * 60]
    hours = [age for age in left if age >= 24 * 60]
    assert 137 <= len(tens) <= 140
    assert all(9 <= b - a <= 11 for a, b in pairwise(tens[1:]))
    assert 47 <= len(hours) <= 50
    assert left[-1] < 3 * 24 * 60
    assert await snapshots.thin(engine, NOW, KEEP) == 0


async def test_thinning_as_time_goes_leaves_the_same_steps(engine: AsyncEngine) -> None:
    """Every ten minutes over three days, not in one go: nothing that was kept is lost by a later bucket's border."""
    await fill(engine, "chunk-0", range(3 * 24 * 60))
    for later in range(0, 120, 10):
        await snapshots.thin(engine, NOW + timedelta(minutes=later), KEEP)
    left = await ages(engine, "chunk-0")
    assert max(b - a for a, b in pairwise(left)) <= 61


async def test_the_newest_of_a_chunk_that_rests_stays_whatever_its_age(engine: AsyncEngine) -> None:
    await fill(engine, "chunk-9", range(30 * 24 * 60, 30 * 24 * 60 + 5))
    await snapshots.thin(engine, NOW, KEEP)
    assert await ages(engine, "chunk-9") == [30 * 24 * 60]


async def test_an_ended_run_goes_with_its_age(engine: AsyncEngine) -> None:
    await runs.begin(engine, "run_2", 1, {})
    await runs.end_all_but(engine, "run_2")
    await fill(engine, "chunk-0", range(5 * 24 * 60, 5 * 24 * 60 + 3))
    await fill(engine, "chunk-1", range(2))
    await snapshots.thin(engine, NOW, KEEP)
    assert await ages(engine, "chunk-0") == []
    assert await ages(engine, "chunk-1") == [0, 1]


async def test_a_collected_chunk_does_not_come_back(engine: AsyncEngine) -> None:
    await snapshots.put(engine, "run_1", [ChunkState("chunk-1", 5, {"n": 1}), ChunkState("chunk-2", 5, {"n": 1})], [])
    await snapshots.put(engine, "run_1", [ChunkState("chunk-1", 6, {snapshots.COLLECTED: True})], [])
    await snapshots.put(engine, "run_1", [ChunkState("chunk-2", 9, {"n": 2})], [])
    assert await snapshots.newest(engine, "run_1") == [ChunkState("chunk-2", 9, {"n": 2})]
    await snapshots.thin(engine, datetime.now(UTC) + timedelta(days=9), KEEP)
    assert await ages(engine, "chunk-1") == []
    assert await snapshots.newest(engine, "run_1") == [ChunkState("chunk-2", 9, {"n": 2})]


async def test_the_newest_is_the_one_taken_last_even_with_a_lower_tick(engine: AsyncEngine) -> None:
    """A Redis that lost its last second goes back a few ticks."""
    await snapshots.put(engine, "run_1", [ChunkState("chunk-1", 50, {"n": 1})], [])
    await snapshots.put(engine, "run_1", [ChunkState("chunk-1", 48, {"n": 2})], [])
    assert await snapshots.newest(engine, "run_1") == [ChunkState("chunk-1", 48, {"n": 2})]
    await snapshots.put(engine, "run_1", [ChunkState("chunk-1", 50, {"n": 3})], [])
    assert await snapshots.newest(engine, "run_1") == [ChunkState("chunk-1", 50, {"n": 3})]


async def test_an_agents_record_is_never_replaced_by_an_older_one(engine: AsyncEngine) -> None:
    await snapshots.put(engine, "run_1", [], [AgentState("a", 7, {"gold": 7}), AgentState("b", 1, {})])
    await snapshots.put(engine, "run_1", [], [AgentState("a", 6, {"gold": 6})])
    await snapshots.put(engine, "run_1", [], [AgentState("b", 1, {"x": 1})])
    assert await snapshots.agents(engine) == [AgentState("a", 7, {"gold": 7}), AgentState("b", 1, {"x": 1})]


async def test_the_newest_run_with_snapshots(engine: AsyncEngine) -> None:
    assert await runs.newest_with_snapshots(engine) is None
    await snapshots.put(engine, "run_1", [ChunkState("chunk-0", 1, {})], [])
    await runs.begin(engine, "run_2", 4, {})
    found = await runs.newest_with_snapshots(engine)
    assert found is not None
    assert found.run_id == "run_1"
    await snapshots.put(engine, "run_2", [ChunkState("chunk-0", 1, {})], [])
    await runs.begin(engine, "run_2", 4, {"next_chunk": 9})
    assert await runs.newest_with_snapshots(engine) == runs.RunRecord("run_2", 4, {"next_chunk": 9})
