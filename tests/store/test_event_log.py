"""The event log: each entry once, read back by agent and by chunk; its days made ahead and dropped."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine

from store import event_log, event_log_days
from store.event_log import LogRow, RowRefused, Span

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


@pytest.fixture
def engine(fresh_engine: AsyncEngine) -> AsyncEngine:
    return fresh_engine


def row(at: datetime, number: int = 0, **other: Any) -> LogRow:
    values: dict[str, Any] = {
        "entry_id": f"{int(at.timestamp() * 1000)}-{number}",
        "run_id": "run_1",
        "tick": 7,
        "chunk_id": "chunk-0",
        "agent_id": "a-1",
        "kind": "chat",
        "payload": '{"text":"hällo \\ud83d\\ude00"}',
    }
    return LogRow(**(values | other))


async def count(engine: AsyncEngine, table: str = "event_logs") -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_an_entry_written_again_is_there_once(engine: AsyncEngine) -> None:
    rows = [row(NOON, number) for number in range(3)]
    assert await event_log.insert(engine, rows[:2]) == 2
    assert await event_log.insert(engine, rows) == 1
    assert await count(engine) == 3


async def test_what_was_written_is_read_back(engine: AsyncEngine) -> None:
    await event_log.insert(engine, [row(NOON, 5, agent_id=None)])
    [event] = await event_log.read(engine, chunk_id="chunk-0")
    assert event == event_log.LoggedEvent(
        NOON, f"{int(NOON.timestamp() * 1000)}-5", "run_1", 7, "chunk-0", None, "chat", {"text": "hällo 😀"}
    )


async def test_a_bad_row_is_refused_and_nothing_of_its_batch_is_written(engine: AsyncEngine) -> None:
    with pytest.raises(RowRefused):
        await event_log.insert(engine, [row(NOON), row(NOON, 1, payload='{"text":"\\u0000"}')])
    assert await count(engine) == 0


async def test_the_newest_are_read_in_order_within_a_millisecond_too(engine: AsyncEngine) -> None:
    await event_log.insert(engine, [row(NOON, number) for number in range(12)])
    await event_log.insert(engine, [row(NOON - timedelta(seconds=1))])
    found = await event_log.read(engine, agent_id="a-1", limit=4)
    assert [event_log.number_of(event.entry_id) for event in found] == [8, 9, 10, 11]
    assert len(await event_log.read(engine, agent_id="a-1", since=NOON)) == 12


async def test_a_chunks_history_has_who_came_in(engine: AsyncEngine) -> None:
    away = row(NOON, 1, chunk_id="chunk-7", kind="crossing", payload='{"to_chunk_id":"chunk-0"}')
    elsewhere = row(NOON, 2, chunk_id="chunk-7", kind="crossing", payload='{"to_chunk_id":"chunk-9"}')
    await event_log.insert(engine, [row(NOON), away, elsewhere])
    assert [e.kind for e in await event_log.read(engine, chunk_id="chunk-0")] == ["chat", "crossing"]


async def test_the_last_entry(engine: AsyncEngine) -> None:
    assert await event_log.last_entry(engine) is None
    await event_log.insert(engine, [row(NOON, 9), row(NOON, 10), row(NOON - timedelta(days=1), 99)])
    assert await event_log.last_entry(engine) == row(NOON, 10).entry_id


async def test_only_what_a_run_logged_after_a_place_is_cut(engine: AsyncEngine) -> None:
    later = NOON + timedelta(milliseconds=1)
    rows = [row(NOON, 9), row(NOON, 10), row(later), row(later, 1, run_id="run_0")]
    await event_log.insert(engine, rows)
    assert await event_log.cut_after(engine, "run_1", rows[0].entry_id) == 2
    kept = {event.entry_id for event in await event_log.read(engine, agent_id="a-1")}
    assert kept == {rows[0].entry_id, rows[3].entry_id}


async def test_days_are_made_once_and_take_their_rows(engine: AsyncEngine) -> None:
    first = NOON.date()
    assert await event_log_days.make(engine, first, first + timedelta(days=2)) == [
        first + timedelta(days=number) for number in range(3)
    ]
    assert await event_log_days.make(engine, first, first + timedelta(days=2)) == []
    midnight = datetime(2026, 3, 30, tzinfo=UTC)
    await event_log.insert(engine, [row(midnight - timedelta(milliseconds=1)), row(midnight)])
    assert await count(engine, "event_logs_20260329") == 1
    assert await count(engine, "event_logs_20260330") == 1
    assert await count(engine, "event_logs_default") == 0


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
async def test_a_day_is_one_in_utc_whatever_the_session_says(engine: AsyncEngine, zone: str) -> None:
    async with engine.begin() as connection:
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        await connection.execute(text(f"ALTER DATABASE {name} SET timezone = '{zone}'"))
    await engine.dispose()
    await event_log_days.make(engine, date(2026, 3, 8), date(2026, 3, 8))
    midnight = datetime(2026, 3, 8, tzinfo=UTC)
    await event_log.insert(engine, [row(midnight), row(midnight + timedelta(hours=23, minutes=59))])
    assert await count(engine, "event_logs_20260308") == 2


async def test_rows_that_came_before_their_day_are_moved_into_it(engine: AsyncEngine) -> None:
    await event_log.insert(engine, [row(NOON), row(NOON + timedelta(days=1))])
    assert await count(engine, "event_logs_default") == 2
    await event_log_days.make(engine, NOON.date(), NOON.date())
    assert await count(engine, "event_logs_20260329") == 1
    assert await count(engine, "event_logs_default") == 1
    assert await event_log.insert(engine, [row(NOON)]) == 0


async def test_a_row_that_is_being_written_when_its_day_is_made_is_moved_too(engine: AsyncEngine) -> None:
    async with engine.connect() as writing:
        await writing.execute(
            text(
                "INSERT INTO event_logs (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
                " VALUES (:at, '1-0', 'run_1', 1, 'chunk-0', 'a-1', 'chat', '{}')"
            ),
            {"at": NOON},
        )
        making = asyncio.create_task(event_log_days.make(engine, NOON.date(), NOON.date()))
        while not await waiting_for_locks(engine):
            assert not making.done()
            await asyncio.sleep(0.01)
        await writing.commit()
    assert await making == [NOON.date()]
    assert await count(engine, "event_logs_20260329") == 1
    assert await count(engine, "event_logs_default") == 0


async def waiting_for_locks(engine: AsyncEngine) -> int:
    """How many locks somebody waits for in this database."""
    async with engine.connect() as connection:
        return int(
            (
                await connection.execute(
                    text(
                        "SELECT count(*) FROM pg_locks WHERE NOT granted"
                        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                    )
                )
            ).scalar_one()
        )


async def test_old_days_are_dropped_whole_and_the_rest_stays(engine: AsyncEngine) -> None:
    await event_log.insert(engine, [row(NOON - timedelta(days=30))])
    await event_log_days.make(engine, date(2026, 3, 26), date(2026, 3, 30))
    await event_log.insert(engine, [row(NOON - timedelta(days=number)) for number in range(4)])
    dropped = await event_log_days.drop(engine, date(2026, 3, 28))
    assert dropped == [date(2026, 3, 26), date(2026, 3, 27)]
    assert await event_log_days.days(engine) == [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)]
    assert await count(engine) == 2


async def test_four_at_once_make_each_day_once(engine: AsyncEngine) -> None:
    day = NOON.date()
    made = await asyncio.gather(*(event_log_days.make(engine, day, day + timedelta(days=3)) for _ in range(4)))
    assert sorted(day for some in made for day in some) == [day + timedelta(days=number) for number in range(4)]


@pytest.fixture
async def full(engine: AsyncEngine) -> AsyncEngine:
    """A log with 20,000 facts, on three days."""
    await event_log_days.make(engine, NOON.date(), NOON.date() + timedelta(days=2))
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO event_logs (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
                " SELECT CAST(:at AS timestamptz) + n * interval '10 s',"
                " 1774785600000 + n * 10000 || '-0', 'run_1', n, 'chunk-0', 'a-' || n % 500,"
                " CASE WHEN n % 10 = 0 THEN 'give' ELSE 'chat' END,"
                " jsonb_build_object('to', 'a-' || (n / 10) % 500) FROM generate_series(0, 20000) AS n"
            ),
            {"at": NOON},
        )
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("ANALYZE event_logs"))
    return engine


def explained(engine: AsyncEngine, word: str) -> list[str]:
    """Return a list that gets the plan of each statement that begins with ``word`` from here on."""
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(word):
            plans.extend(row[0] for row in connection.exec_driver_sql("EXPLAIN " + statement, parameters))

    listen(engine.sync_engine, "after_cursor_execute", explain)
    return plans


def whole_reads(plans: list[str]) -> list[str]:
    return [line for line in plans if "Seq Scan" in line and "event_logs_default" not in line]


async def test_a_history_is_read_along_indexes(full: AsyncEngine) -> None:
    """With 20,000 facts of others no query looks at all of them, on no day."""
    plans = explained(full, "SELECT")
    page = await event_log.history(full, "a-7", before=f"{int((NOON + timedelta(days=1)).timestamp() * 1000)}-0")
    assert len(page.events) == 20
    assert page.events[0].at < NOON + timedelta(days=1)
    assert any("ix_event_logs_gifts" in line or "_expr_at_idx" in line for line in plans), plans
    assert plans
    assert not whole_reads(plans), plans


@pytest.mark.parametrize("cut", [False, True], ids=["what a stream does not know", "what a restored world never saw"])
async def test_what_was_undone_is_looked_for_where_it_can_be(full: AsyncEngine, cut: bool) -> None:
    """The archiver looks for it with every batch: the log's size must not matter."""
    after, newest = (f"{1774785600000 + n * 10_000}-0" for n in (19_998, 20_000))
    plans = explained(full, "DELETE FROM event_logs ")
    if cut:
        assert await event_log.cut_after(full, "run_1", after, NOON) == 2
    else:
        deleted = await event_log.delete_unknown(full, "run_1", [Span(after, newest, (newest,))], NOON)
        assert deleted == [("a-499", "a-499")]
    assert await count(full) == (19_999 if cut else 20_000)
    conditions = [line for line in plans if "Index Cond" in line]
    assert conditions
    assert all("at >= " in line for line in conditions), plans
    assert not whole_reads(plans), plans
