"""The schema's way up and down, on an empty and on a filled database, and four processes at once (pitfall B24)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from migrations.run import NewerDatabase, current, downgrade, head, upgrade
from store.engine import make_engine
from store.models import Base

ROOT = Path(__file__).parents[2]
TABLES = {"accounts", "api_keys", "agents", "sessions", "runs", "event_logs", "snapshots"}


@pytest.fixture
async def blank(blank_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(blank_postgres_url)
    yield engine
    await engine.dispose()


async def look(engine: AsyncEngine, question: Any) -> Any:
    async with engine.connect() as connection:
        return await connection.run_sync(question)


async def counts(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        return {table: await connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in sorted(TABLES)}


async def test_up_from_nothing_down_to_nothing_and_up_again(blank: AsyncEngine, blank_postgres_url: str) -> None:
    assert await current(blank_postgres_url) is None
    await upgrade(blank_postgres_url)
    assert await current(blank_postgres_url) == head()
    assert set(await look(blank, lambda c: inspect(c).get_table_names())) >= TABLES
    await downgrade(blank_postgres_url, "base")
    assert await look(blank, lambda c: inspect(c).get_table_names()) == ["alembic_version"]
    await upgrade(blank_postgres_url)
    assert await current(blank_postgres_url) == head()


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            # Partitions follow their parent.
            "include_object": lambda obj, *_: "event_logs_" not in str(getattr(obj, "table", obj)),
        },
    )
    return list(compare_metadata(context, Base.metadata))


async def test_the_migrations_give_what_the_models_say(blank: AsyncEngine, blank_postgres_url: str) -> None:
    await upgrade(blank_postgres_url)
    assert await look(blank, _differences) == []


async def test_every_time_has_a_zone(blank: AsyncEngine, blank_postgres_url: str) -> None:
    await upgrade(blank_postgres_url)
    async with blank.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT table_name, column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = 'public' AND data_type LIKE 'timestamp%'"
            )
        )
        kinds = {(row.table_name, row.column_name): row.data_type for row in rows}
    assert len(kinds) >= 10
    assert set(kinds.values()) == {"timestamp with time zone"}


FILL = [
    "INSERT INTO accounts (account_id, email, password_hash, token_hash)"
    " SELECT 'acc_' || n, 'm\u00fcller' || n || '@x.org', 'h', 't' || n FROM generate_series(1, 10000) n",
    "INSERT INTO api_keys (key_id, account_id, prefix, key_hash, label, expires_at, revoked_at)"
    " SELECT 'key_' || n, 'acc_' || n, 'p' || n, 'h', CASE WHEN n % 2 = 0 THEN '\u9375 \U0001f511' END,"
    " CASE WHEN n % 3 = 0 THEN now() END, CASE WHEN n % 5 = 0 THEN now() END FROM generate_series(1, 10000) n",
    "INSERT INTO agents (agent_id, account_id) SELECT 'a-' || n, 'acc_' || n FROM generate_series(1, 10000) n",
    "INSERT INTO sessions (jti, token_hash, account_id, key_id, role, agent_id, expires_at)"
    " SELECT 'jti_' || n, 't' || n, 'acc_' || n, CASE WHEN n % 2 = 0 THEN 'key_' || n END, 'agent', NULL, now()"
    " FROM generate_series(1, 10000) n",
    "INSERT INTO runs (run_id, seed) SELECT 'run_' || n, n FROM generate_series(1, 100) n",
    "INSERT INTO event_logs (at, entry_id, run_id, tick, kind, payload)"
    " SELECT now() - n * interval '1 hour', n || '-0', 'run_1', n, 'chat', jsonb_build_object('text', '\U0001f600')"
    " FROM generate_series(1, 10000) n",
    "INSERT INTO snapshots (run_id, chunk_id, tick, state) SELECT 'run_1', 'chunk-' || n, n, '{}'::jsonb"
    " FROM generate_series(1, 10000) n",
]


async def test_a_filled_database_is_upgraded_again_without_loss(blank: AsyncEngine, blank_postgres_url: str) -> None:
    await upgrade(blank_postgres_url)
    async with blank.begin() as connection:
        for statement in FILL:
            await connection.execute(text(statement))
    before = await counts(blank)
    assert min(before.values()) >= 100
    await upgrade(blank_postgres_url)
    assert await counts(blank) == before


async def test_a_filled_database_goes_down_and_up(blank: AsyncEngine, blank_postgres_url: str) -> None:
    await upgrade(blank_postgres_url)
    async with blank.begin() as connection:
        for statement in FILL:
            await connection.execute(text(statement))
    await downgrade(blank_postgres_url, "base")
    await upgrade(blank_postgres_url)
    assert set((await counts(blank)).values()) == {0}


async def test_what_the_log_has_is_counted_when_standings_come(blank: AsyncEngine, blank_postgres_url: str) -> None:
    await upgrade(blank_postgres_url, "0003")
    fact = (
        "INSERT INTO event_logs (at, entry_id, run_id, tick, kind, agent_id, payload) SELECT"
        " CASE WHEN CAST(:days AS int) = 0 THEN date_trunc('day', now(), 'UTC') ELSE now() - interval '40 days' END"
        " + :seconds * interval '1 s', :entry, 'run_1', 1, :kind, :agent, CAST(:payload AS jsonb)"
    )
    facts = [
        (40, 0, "join", "a", "{}"),
        (40, 60, "leave", "a", "{}"),
        (40, 70, "harvest", "a", '{"amount": 5}'),
        (0, 0, "join", "a", "{}"),
        (0, 1, "harvest", "a", '{"amount": 2}'),
        (0, 2, "crossing", "a", '{"to_chunk_id": "chunk-4"}'),
        (0, 3, "crossing", "b", '{"to_chunk_id": "chunk-4"}'),
        (0, 4, "leave", "a", "{}"),
        (0, 5, "crossing", "b", '{"to_chunk_id": "chunk-0"}'),
    ]
    async with blank.begin() as connection:
        for number, (days, seconds, kind, agent, payload) in enumerate(facts):
            values = {"days": days, "seconds": seconds, "kind": kind, "agent": agent, "payload": payload}
            await connection.execute(text(fact), values | {"entry": f"{number}-0"})
        await connection.execute(text("INSERT INTO runs (run_id, seed) VALUES ('run_1', 1)"))
        await connection.execute(
            text("INSERT INTO snapshots (run_id, chunk_id, tick, state) VALUES ('run_1', 'chunk-9', 1, '{}')")
        )
    await upgrade(blank_postgres_url)
    async with blank.connect() as connection:
        rows = await connection.execute(
            text("SELECT period, agent_id, gold, chunks, alive_ms, away_rank FROM standings ORDER BY 1, 2")
        )
        assert [tuple(row) for row in rows] == [
            ("all", "a", 7, 1, 64_000, 64_000),
            ("day", "a", 2, 1, 4_000, 4_000),
            ("week", "a", 2, 1, 4_000, 4_000),
        ]
        found = await connection.execute(text("SELECT chunk_id, agent_id FROM discoveries ORDER BY 1"))
        assert [tuple(row) for row in found] == [("chunk-4", "a"), ("chunk-9", None)]


async def test_four_at_once_run_each_step_once(blank_postgres_url: str) -> None:
    await asyncio.gather(*(upgrade(blank_postgres_url) for _ in range(4)))
    assert await current(blank_postgres_url) == head()


def test_four_processes_at_once_all_succeed(blank_postgres_url: str) -> None:
    environment = os.environ | {"CHUNKCRAWL_DATABASE_URL": blank_postgres_url, "TZ": "Asia/Kolkata"}
    command = [sys.executable, "-m", "migrations.run", "upgrade"]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, errors
    assert asyncio.run(current(blank_postgres_url)) == head()


@pytest.mark.parametrize("words", [[], ["sideways"], ["downgrade"]])
def test_the_command_explains_itself_when_it_is_misused(words: list[str]) -> None:
    command = [sys.executable, "-m", "migrations.run", *words]
    environment = os.environ | {"CHUNKCRAWL_DATABASE_URL": "postgresql+asyncpg://nowhere"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "upgrade [revision]" in done.stderr


async def test_a_revision_that_fails_leaves_the_database_as_it_was(blank: AsyncEngine, blank_postgres_url: str) -> None:
    async with blank.begin() as connection:
        await connection.execute(text("CREATE TABLE snapshots (in_the_way int)"))
    with pytest.raises(Exception, match="already exists"):
        await upgrade(blank_postgres_url)
    assert await look(blank, lambda c: inspect(c).get_table_names()) == ["snapshots"]
    async with blank.begin() as connection:
        await connection.execute(text("DROP TABLE snapshots"))
    await upgrade(blank_postgres_url)
    assert await current(blank_postgres_url) == head()


async def test_the_queries_have_their_indexes(blank: AsyncEngine, blank_postgres_url: str) -> None:
    await upgrade(blank_postgres_url)
    found = await look(
        blank,
        lambda c: {
            (table, tuple(index["column_names"]))
            for table in TABLES
            for index in [*inspect(c).get_indexes(table), *inspect(c).get_unique_constraints(table)]
        },
    )
    assert found >= {
        ("accounts", ("email",)),
        ("accounts", ("token_hash",)),
        ("api_keys", ("prefix",)),
        ("sessions", ("token_hash",)),
        ("sessions", ("account_id", "role", "expires_at")),
        ("event_logs", ("run_id", "tick")),
        ("event_logs", ("chunk_id", "tick")),
        ("snapshots", ("chunk_id", "tick")),
    }


async def test_the_event_log_can_be_cut_by_day(blank: AsyncEngine, blank_postgres_url: str) -> None:
    """A day's partition takes its rows, the default one the rest, and dropping a day drops only it."""
    await upgrade(blank_postgres_url)
    insert = "INSERT INTO event_logs (at, entry_id, run_id, tick, kind, payload) VALUES ('%s', '%s', 'r', 1, 'k', '{}')"
    async with blank.begin() as connection:
        await connection.execute(
            text(
                "CREATE TABLE event_logs_20260101 PARTITION OF event_logs"
                " FOR VALUES FROM ('2026-01-01 00:00Z') TO ('2026-01-02 00:00Z')"
            )
        )
        for at, entry in (("2026-01-01 23:59Z", "1-0"), ("2026-01-02 00:00Z", "2-0")):
            await connection.execute(text(insert % (at, entry)))
        assert await connection.scalar(text("SELECT count(*) FROM event_logs_20260101")) == 1
        await connection.execute(text("DROP TABLE event_logs_20260101"))
        assert await connection.scalar(text("SELECT count(*) FROM event_logs")) == 1


async def test_a_database_of_a_newer_release_is_left_alone_and_says_what_to_do(
    blank: AsyncEngine, blank_postgres_url: str
) -> None:
    await upgrade(blank_postgres_url)
    async with blank.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match=r"revision 9999\): start that release again, or restore a backup"):
        await upgrade(blank_postgres_url)
    assert await current(blank_postgres_url) == "9999"
