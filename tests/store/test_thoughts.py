from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store import thoughts
from store.event_log import number_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_the_newest_come_first_and_pages_meet(engine: AsyncEngine) -> None:
    kept = [
        await thoughts.add(
            engine, "t-1", f"line {n}", at=NOON + timedelta(milliseconds=n // 3, microseconds=n), doing="go_to", tick=n
        )
        for n in range(7)
    ]
    await thoughts.add(engine, "t-2", "somebody else's", at=NOON)
    found = await thoughts.newest(engine, "t-1", limit=4)
    rest = await thoughts.newest(engine, "t-1", before=found[-1].entry_id)
    assert [*found, *rest] == kept[::-1]
    assert [number_of(one.entry_id) for one in kept] == sorted(number_of(one.entry_id) for one in kept)
    assert await thoughts.newest(engine, "t-1", since=NOON + timedelta(milliseconds=2)) == [kept[6]]
    assert await thoughts.newest(engine, "t-1", until=NOON + timedelta(milliseconds=1)) == kept[2::-1]


async def test_time_is_kept_in_milliseconds_as_its_id_has_it(engine: AsyncEngine) -> None:
    thought = await thoughts.add(engine, "t-3", "x", at=NOON.replace(microsecond=1_999))
    assert thought.at == NOON.replace(microsecond=1_000)
    assert await thoughts.newest(engine, "t-3", before=thought.entry_id) == []


async def test_an_agent_keeps_so_many_and_no_more(engine: AsyncEngine) -> None:
    for n in range(5):
        await thoughts.add(engine, "t-4", f"line {n}", at=NOON + timedelta(seconds=n), kept=3)
    assert [one.text for one in await thoughts.newest(engine, "t-4")] == ["line 4", "line 3", "line 2"]


async def test_old_ones_are_deleted_in_portions(engine: AsyncEngine) -> None:
    for n in range(3):
        await thoughts.add(engine, "t-5", f"line {n}", at=datetime(2001, 1, 1 + n, tzinfo=UTC))
    assert await thoughts.delete_before(engine, datetime(2001, 1, 3, tzinfo=UTC), limit=1) == 1
    assert await thoughts.delete_before(engine, datetime(2001, 1, 3, tzinfo=UTC), limit=9) == 1
    assert [one.text for one in await thoughts.newest(engine, "t-5")] == ["line 2"]


async def test_one_index_gives_them(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for way in ("seqscan", "bitmapscan", "sort"):  # what a table of a few rows would be read by
            await connection.execute(text(f"SET LOCAL enable_{way} = off"))
        plan = await connection.execute(
            text("EXPLAIN SELECT * FROM thoughts WHERE agent_id = 't-1' ORDER BY at DESC, thought_id DESC LIMIT 9")
        )
        lines = [row[0] for row in plan]
    assert any("Index Scan Backward using ix_thoughts_agent_id_at_thought_id" in line for line in lines), lines
    assert not any("Sort" in line for line in lines), lines
