"""An agent's moves out of the event log: by tick and by time, of one run, oldest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine

from store import agent_moves, event_log
from store.event_log import LogRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine(fresh_engine: AsyncEngine) -> AsyncEngine:
    return fresh_engine


def fact(tick: int, kind: str, chunk: str, to: str = "", *, agent: str = "a-1", run: str = "run_1") -> LogRow:
    ms = int(NOON.timestamp() * 1000) + tick * 200
    payload = f'{{"to_chunk_id":"{to}","x":1,"y":2}}' if to else "{}"
    return LogRow(f"{ms}-{tick % 12}", run, tick, chunk, agent, kind, payload)


MOVES = [
    fact(10, "join", "chunk-0"),
    fact(20, "crossing", "chunk-0", "chunk-1"),
    fact(30, "crossing", "chunk-1", "chunk-2"),
    fact(40, "leave", "chunk-2"),
]
OTHERS = [
    *(fact(15, "chat", "chunk-0"), fact(16, "crossing", "chunk-0", "chunk-9", agent="b-1")),
    fact(17, "join", "chunk-8", run="run_2"),
]


@pytest.fixture(autouse=True)
async def log(engine: AsyncEngine) -> None:
    await event_log.insert(engine, MOVES + OTHERS)


def at(tick: int) -> datetime:
    return NOON + timedelta(milliseconds=tick * 200)


@pytest.mark.parametrize(
    ("tick", "before", "there"),
    [(10, None, None), (11, 10, "chunk-0"), (20, 10, "chunk-0"), (21, 20, "chunk-1"), (99, 40, None)],
)
async def test_the_last_before_a_moment(engine: AsyncEngine, tick: int, before: int | None, there: str | None) -> None:
    for moment in (tick, at(tick)):
        found = await agent_moves.last_before(engine, "run_1", "a-1", moment)
        assert (found and found.tick, found and found.there) == (before, there)


async def test_the_first_from_a_moment_on(engine: AsyncEngine) -> None:
    for moment in (20, at(20)):
        found = await agent_moves.first_from(engine, "run_1", "a-1", moment)
        assert found is not None
        assert (found.tick, found.kind, found.chunk_id, found.to_chunk_id) == (20, "crossing", "chunk-0", "chunk-1")
        later = await agent_moves.first_from(engine, "run_1", "a-1", 21, found)
        assert later is not None
        assert later.tick == 30
    assert await agent_moves.first_from(engine, "run_1", "a-1", 41) is None


async def test_those_of_a_span_in_pages(engine: AsyncEngine) -> None:
    whole = await agent_moves.between(engine, "run_1", "a-1", 0, at(99), None, 10)
    assert [one.tick for one in whole] == [10, 20, 30, 40]
    part = await agent_moves.between(engine, "run_1", "a-1", 20, 30, None, 10)
    assert [one.tick for one in part] == [20, 30]
    first = await agent_moves.between(engine, "run_1", "a-1", 0, 99, None, 3)
    rest = await agent_moves.between(engine, "run_1", "a-1", 0, 99, first[-1].entry_id, 3)
    assert first + rest == whole


async def test_one_by_its_entry(engine: AsyncEngine) -> None:
    found = await agent_moves.entry(engine, "run_1", "a-1", MOVES[2].entry_id)
    assert found is not None
    assert found.there == "chunk-2"
    assert await agent_moves.entry(engine, "run_1", "a-1", OTHERS[0].entry_id) is None
    assert await agent_moves.entry(engine, "run_1", "b-1", MOVES[2].entry_id) is None


async def test_only_moves_are_looked_at(engine: AsyncEngine) -> None:
    """Among thousands of the agent's other facts its moves are found by their own index."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO event_logs (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
                " SELECT CAST(:at AS timestamptz) + n * interval '200 ms', n || '-99', 'run_1', n, 'chunk-0', 'a-1',"
                " 'harvest', '{}'::jsonb FROM generate_series(1, 4000) AS n"
            ),
            {"at": NOON},
        )
        await connection.execute(text("ANALYZE event_logs"))
        indexes = text(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ix_event_logs_moves'::regclass"
        )
        names = (await connection.scalars(indexes)).all()
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            plans.append("\n".join(row[0] for row in connection.exec_driver_sql("EXPLAIN " + statement, parameters)))

    listen(engine.sync_engine, "after_cursor_execute", explain)
    found = await agent_moves.last_before(engine, "run_1", "a-1", 3_000)
    assert found is not None
    assert found.tick == 40
    assert await agent_moves.first_from(engine, "run_1", "a-1", 3_000) is None
    assert len(await agent_moves.between(engine, "run_1", "a-1", 0, 3_000, None, 10)) == len(MOVES)
    assert len(plans) == 3
    assert names
    for plan in plans:
        assert any(name in plan for name in names), plan
