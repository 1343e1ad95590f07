from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from store import audit
from store.audit import AuditEntry

ENTRY = AuditEntry("opr_1", "alice", "operator", "10.0.0.1", "mute", "a-1", {"minutes": 1})


async def test_lines_of_one_moment_have_numbers_of_their_own(fresh_engine: AsyncEngine) -> None:
    numbers = await asyncio.gather(*(audit.begin(fresh_engine, ENTRY, 1_000) for _ in range(6)))
    assert sorted(numbers) == list(range(1_000, 1_006))
    assert [line.audit_id for line in await audit.lines(fresh_engine, limit=3)] == [1_005, 1_004, 1_003]
    assert [line.audit_id for line in await audit.lines(fresh_engine, before=1_003, limit=9)] == [1_002, 1_001, 1_000]


async def test_an_outcome_is_written_once(fresh_engine: AsyncEngine) -> None:
    number = await audit.begin(fresh_engine, ENTRY, 1)
    [line] = await audit.lines(fresh_engine, limit=9)
    assert (line.outcome, line.ended_at, line.details) == ("begun", None, {"minutes": 1})
    await audit.end(fresh_engine, number, "failed", "why")
    await audit.end(fresh_engine, number, "done")
    [line] = await audit.lines(fresh_engine, outcome="failed", subject="a-1", limit=9)
    assert (line.outcome, line.reason) == ("failed", "why")
    assert line.ended_at is not None
    assert await audit.lines(fresh_engine, operator="bob", limit=9) == []
