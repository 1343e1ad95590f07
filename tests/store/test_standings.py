"""The leaderboard's sums: each fact once, whatever is repeated or undone; days and weeks; that indexes are used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine

from store import event_log, event_log_days, snapshots, standings
from store.event_log import LogRow, Span
from store.standings import Period, PeriodSums

#: A Wednesday; its week began on the 23rd.
NOON = datetime(2026, 3, 25, 12, tzinfo=UTC)
MINUTE_MS = 60_000
EACH: tuple[Period, ...] = ("day", "week", "all")


@pytest.fixture
def engine(fresh_engine: AsyncEngine) -> AsyncEngine:
    return fresh_engine


def fact(kind: str, agent_id: str = "a-1", *, minute: float = 0, number: int = 0, **payload: Any) -> LogRow:
    ms = standings.ms_of(NOON) + int(minute * MINUTE_MS)
    payload = {"amount": 1} | payload if kind == "harvest" else payload
    return LogRow(f"{ms}-{number}", "run_1", 7, "chunk-0", agent_id, kind, orjson.dumps(payload).decode())


async def standing(engine: AsyncEngine, agent_id: str = "a-1", now: datetime = NOON) -> dict[str, tuple[int, int, int]]:
    """Gold, chunks and whole minutes alive by period."""
    found = await standings.of_agent(engine, agent_id, now)
    return {period: (one.gold, one.chunks, one.alive_ms // MINUTE_MS) for period, one in found.items()}


async def first(engine: AsyncEngine, by: standings.Measure, now: datetime = NOON, period: Period = "day") -> list[str]:
    return [one.agent_id for one in await standings.board(engine, by, period, 10, now)]


async def test_gold_chunks_and_time_are_summed_up_by_period(engine: AsyncEngine) -> None:
    facts = [
        fact("join", minute=-60),
        fact("harvest", minute=-50, amount=2),
        fact("crossing", minute=-40, to_chunk_id="chunk-5"),
        fact("chat", minute=-35, text="hello"),
        fact("leave", minute=-30),
        fact("harvest", minute=-2 * 1440, amount=3),  # on Monday
        fact("harvest", minute=-3 * 1440, amount=4),  # on Sunday
    ]
    await event_log.insert(engine, facts, NOON)
    assert await standing(engine) == {"day": (2, 1, 30), "week": (5, 1, 30), "all": (9, 1, 30)}


async def test_a_batch_that_is_written_again_counts_once(engine: AsyncEngine) -> None:
    facts = [fact("join", minute=-9), fact("harvest"), fact("crossing", number=1, to_chunk_id="chunk-5")]
    assert await event_log.insert(engine, facts[:2], NOON) == 2
    before = await standing(engine)
    assert await event_log.insert(engine, facts[:2], NOON) == 0
    assert await standing(engine) == before
    assert await event_log.insert(engine, [*facts, fact("leave", minute=1)], NOON) == 2
    assert await event_log.insert(engine, [*facts, fact("leave", minute=1)], NOON) == 0
    assert (await standing(engine))["all"] == (1, 1, 10)


async def test_a_fact_in_the_place_of_another_takes_its_count_too(engine: AsyncEngine) -> None:
    await event_log.insert(engine, [fact("harvest", amount=5), fact("harvest", number=1)], NOON)
    assert await event_log.insert(engine, [fact("harvest", amount=2), fact("harvest", number=1)], NOON) == 1
    assert (await standing(engine))["all"] == (3, 0, 0)
    assert await event_log.insert(engine, [fact("harvest", agent_id="b-1", amount=1)], NOON) == 1
    assert (await standing(engine))["all"] == (1, 0, 0)
    assert (await standing(engine, "b-1"))["all"] == (1, 0, 0)


async def test_what_was_undone_no_longer_counts(engine: AsyncEngine) -> None:
    facts = [
        fact("join", minute=-60),
        fact("harvest", minute=-50),
        fact("crossing", minute=-40, to_chunk_id="chunk-5"),
        fact("leave", minute=-30),
        fact("join", minute=-20),
    ]
    await event_log.insert(engine, facts, NOON)
    await event_log.delete_unknown(engine, "run_1", [Span(facts[1].entry_id, facts[-1].entry_id)], NOON)
    # It did not leave, as it turns out, and is here since it came.
    await standings.keep(engine, NOON)
    assert await standing(engine) == dict.fromkeys(EACH, (1, 0, 60))
    # Somebody else finds that chunk now.
    await event_log.insert(engine, [fact("crossing", "b-1", to_chunk_id="chunk-5")], NOON)
    assert await first(engine, "chunks") == ["b-1"]


async def test_a_restored_world_counts_up_to_its_backup(engine: AsyncEngine) -> None:
    facts = [fact("join", minute=-60), fact("harvest", minute=-50), fact("harvest", minute=-10)]
    await event_log.insert(engine, facts, NOON)
    assert await event_log.cut_after(engine, "run_1", facts[1].entry_id, NOON) == 1
    assert (await standing(engine))["all"][0] == 1


async def test_who_came_first_has_discovered_a_chunk(engine: AsyncEngine) -> None:
    ways = [
        fact("crossing", "a-1", minute=0, to_chunk_id="chunk-5"),
        fact("crossing", "b-1", minute=1, to_chunk_id="chunk-5"),
        fact("crossing", "b-1", minute=2, to_chunk_id="chunk-0"),  # it was always there
        fact("crossing", "b-1", minute=3, to_chunk_id="chunk-6"),
        fact("crossing", "b-1", minute=4, to_chunk_id="chunk-7"),
    ]
    await event_log.insert(engine, ways[:1], NOON)
    await event_log.insert(engine, ways[1:], NOON)
    assert [(one.agent_id, one.chunks) for one in await standings.board(engine, "chunks", "all", 9, NOON)] == [
        ("b-1", 2),
        ("a-1", 1),
    ]


async def test_time_goes_on_for_those_who_are_here(engine: AsyncEngine) -> None:
    await event_log.insert(
        engine,
        [
            fact("join", "old", minute=-100),
            fact("leave", "old", minute=-20),  # 80 minutes
            fact("join", "here", minute=-79),
            fact("join", "young", minute=-5),
        ],
        NOON,
    )
    await standings.keep(engine, NOON)
    assert await standings.board(engine, "alive", "day", 10, NOON) == [
        PeriodSums("old", 0, 0, 80 * MINUTE_MS, False),
        PeriodSums("here", 0, 0, 79 * MINUTE_MS, True),
        PeriodSums("young", 0, 0, 5 * MINUTE_MS, True),
    ]
    assert await first(engine, "alive", NOON + timedelta(minutes=2)) == ["here", "old", "young"]
    assert [one.agent_id for one in await standings.board(engine, "alive", "day", 1, NOON + timedelta(minutes=2))] == [
        "here"
    ]


async def test_a_new_day_begins_with_those_who_are_here(engine: AsyncEngine) -> None:
    late = [fact("join", minute=700), fact("harvest", minute=701), fact("join", "b-1", minute=700)]  # 23:40
    await event_log.insert(engine, [*late, fact("leave", "b-1", minute=705)], NOON + timedelta(minutes=705))
    midnight = datetime(2026, 3, 26, tzinfo=UTC)
    for minute in (-12, -8, -4, 0, 4, 8, 10):
        await standings.keep(engine, midnight + timedelta(minutes=minute))
    now = midnight + timedelta(minutes=10)
    assert await standing(engine, now=now) == {"day": (0, 0, 10), "week": (1, 0, 30), "all": (1, 0, 30)}
    assert await first(engine, "alive", now) == ["a-1"]
    # A fact of yesterday that comes late counts for the week and for all time alone.
    await event_log.insert(engine, [fact("harvest", minute=710), fact("leave", minute=740)], now)
    assert await standing(engine, now=now) == {"day": (0, 0, 20), "week": (2, 0, 40), "all": (2, 0, 40)}
    monday = datetime(2026, 3, 30, 0, 1, tzinfo=UTC)
    await standings.keep(engine, monday)
    assert await standing(engine, now=monday) == {"day": (0, 0, 0), "week": (0, 0, 0), "all": (2, 0, 40)}
    async with engine.connect() as connection:
        kept = await connection.scalars(text("SELECT DISTINCT period FROM standings"))
        assert set(kept) == {"all"}


async def test_time_that_nobody_noted_is_nobodys(engine: AsyncEngine) -> None:
    await event_log.insert(engine, [fact("join", minute=-10)], NOON)
    await standings.keep(engine, NOON)
    # The system is down for an hour.
    assert (await standing(engine, now=NOON + timedelta(minutes=60)))["all"] == (0, 0, 15)
    await standings.keep(engine, NOON + timedelta(minutes=60))
    assert (await standing(engine, now=NOON + timedelta(minutes=61)))["all"] == (0, 0, 11)
    # It left meanwhile, as is heard afterwards: that adds nothing.
    await event_log.insert(engine, [fact("leave", minute=30)], NOON + timedelta(minutes=61))
    assert await standing(engine, now=NOON + timedelta(minutes=62)) == dict.fromkeys(EACH, (0, 0, 10))


async def test_a_leave_that_was_lost_costs_the_time_before_the_next_join(engine: AsyncEngine) -> None:
    facts = [fact("join", minute=-90), fact("join", minute=-10), fact("leave"), fact("leave", minute=1)]
    await event_log.insert(engine, facts, NOON)
    assert (await standing(engine))["all"] == (0, 0, 10)


async def test_agents_are_found_by_the_beginning_of_their_names(engine: AsyncEngine) -> None:
    names = ["Scout-1", "scout-2", "scout_3", "other", "scouu", "s.", "SCOUT-10"]
    await event_log.insert(engine, [fact("join", name, number=n) for n, name in enumerate(names)], NOON)
    assert await standings.find(engine, "scout", 10) == ["Scout-1", "SCOUT-10", "scout-2", "scout_3"]
    assert await standings.find(engine, "SCOUT-", 2) == ["Scout-1", "SCOUT-10"]
    assert await standings.find(engine, "scout-1", 10) == ["Scout-1", "SCOUT-10"]
    assert await standings.find(engine, "%", 10) == []
    assert await standings.find(engine, "s_", 10) == []


async def test_discoveries_of_chunks_that_are_gone_are_forgotten(engine: AsyncEngine) -> None:
    ways = [fact("crossing", number=n, to_chunk_id=f"chunk-{n}") for n in range(1, 4)]
    await event_log.insert(engine, ways, NOON)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO runs (run_id, seed) VALUES ('run_1', 1)"))
    await snapshots.put(engine, "run_1", [snapshots.ChunkState("chunk-2", 1, {})], [])
    assert await standings.forget_chunks(engine, NOON) == 0
    assert await standings.forget_chunks(engine, NOON + timedelta(days=1)) == 2
    async with engine.connect() as connection:
        assert list(await connection.scalars(text("SELECT chunk_id FROM discoveries"))) == ["chunk-2"]
    assert (await standing(engine))["all"] == (0, 3, 0)


FILL = [
    "INSERT INTO standings (period, starts, agent_id, gold, chunks, alive_ms, since_ms, away_rank, here_rank)"
    " SELECT p.period, p.starts, 'agent-' || n, n % 977, n % 97, n * 1000, here,"
    " CASE WHEN here IS NULL THEN n * 1000 END, n * 1000 - here"
    " FROM generate_series(1, 5000) AS n CROSS JOIN (VALUES ('day', CAST(:day AS timestamptz)),"
    " ('week', CAST(:week AS timestamptz)), ('all', CAST(:epoch AS timestamptz))) AS p (period, starts)"
    " CROSS JOIN LATERAL (SELECT CASE WHEN n % 2 = 0 THEN CAST(:now_ms AS bigint) END AS here) AS who",
    "INSERT INTO discoveries (chunk_id, agent_id, at, entry_id)"
    " SELECT 'chunk-' || n, 'agent-1', CAST(:day AS timestamptz), '1-0' FROM generate_series(1, 10000) AS n",
    "INSERT INTO event_logs (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
    " SELECT CAST(:day AS timestamptz) + n * interval '1 s', n || '-0', 'run_1', n, 'chunk-0', 'agent-' || n % 50,"
    " CASE WHEN n % 100 < 50 THEN 'chat' ELSE 'harvest' END, jsonb_build_object('text', 'hi', 'amount', 1)"
    " FROM generate_series(1, 20000) AS n",
]


async def test_nothing_that_is_asked_scans_a_table(engine: AsyncEngine) -> None:
    starts = standings.starts_of(NOON)
    times = {"day": starts["day"], "week": starts["week"], "epoch": standings.EPOCH, "now_ms": standings.ms_of(NOON)}
    await event_log_days.make(engine, NOON.date(), NOON.date())
    async with engine.begin() as connection:
        for statement in FILL:
            names = [name for name in times if f":{name}" in statement]
            await connection.execute(text(statement), {name: times[name] for name in names})
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("ANALYZE"))
    await standings.keep(engine, NOON)  # once a day it looks at all who are here
    plans: dict[str, list[str]] = {}

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith(("EXPLAIN", "SELECT pg_advisory")):
            rows = connection.exec_driver_sql("EXPLAIN " + statement, parameters)
            plans[statement] = [row[0] for row in rows]

    listen(engine.sync_engine, "after_cursor_execute", explain)
    for period in EACH:
        for by in ("gold", "chunks", "alive"):
            assert len(await standings.board(engine, by, period, 20, NOON)) == 20
    assert len(await standings.find(engine, "agent-49", 20)) == 20
    assert (await standings.of_agent(engine, "agent-7", NOON))["all"].gold == 7
    assert len(await event_log.said(engine, "agent-7", 20)) == 20
    assert await event_log.said(engine, "agent-4999", 20) == []
    await event_log.insert(engine, [fact("harvest", "agent-7"), fact("crossing", to_chunk_id="chunk-7")], NOON)
    assert len(plans) >= 8
    small = ("standings_clock", "event_logs_default")
    scans = [
        line for plan in plans.values() for line in plan if "Seq Scan" in line and not any(s in line for s in small)
    ]
    assert scans == [], plans
    used = "\n".join(line for plan in plans.values() for line in plan)
    for index in ("gold", "chunks", "away", "here", "names"):
        assert f"ix_standings_{index}" in used
    boards = [plan for asked, plan in plans.items() if "LIMIT" in asked and "starts =" in asked]
    assert len(boards) == 3
    assert not [line for plan in boards for line in plan if "Sort" in line]
