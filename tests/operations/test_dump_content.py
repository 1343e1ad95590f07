"""Backups that somebody has made to harm: each is refused with the reason, and nothing of it has run."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from cluster.graph import init_world
from migrations.run import current, head
from operations import pg_tools
from operations.backup import make_backup, verify_backup
from operations.backup_files import DATABASE, MANIFEST, BackupError
from operations.restore import restore_backup
from operations.table_digests import digests
from store import event_log_days
from store.engine import make_engine
from store.pg_session import patient_engine
from tests.cluster.lasting import RULES
from tests.operations.test_backup import sign_anew
from tests.store.rows import new_account, new_key

pytestmark = pytest.mark.services


async def sql(url: str, *statements: str) -> list[Any]:
    """Run statements as the database's owner; the rows of the last one."""
    engine = patient_engine(url)
    async with engine.begin() as connection:
        for statement in statements:
            answer = await connection.execute(text(statement))
        rows = list(answer) if answer.returns_rows else []
    await engine.dispose()
    return rows


@pytest.fixture
def trap() -> Iterator[Path]:
    """A directory in which the server's account may write, with a short name; a trap leaves the file ``x`` there."""
    directory = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


def left_in(trap: Path) -> list[Path]:
    return list(trap.iterdir())


@pytest.fixture
async def source(redis: Redis, fresh_postgres_url: str) -> str:
    """The attacker's system: theirs to do with as they like."""
    await init_world(redis, seed=1, shard_count=1)
    engine = make_engine(fresh_postgres_url)
    account = await new_account(engine, "mallory@example.com")
    await new_key(engine, account, label="鍵 🔑 \\ back\tslash")
    await engine.dispose()
    return fresh_postgres_url


async def first_format(redis: Redis, url: str, directory: Path) -> Path:
    """A backup as the version before wrote it: its ``database.dump`` says how everything in the schema is made."""
    made = await make_backup(redis, url, directory)
    tool = await pg_tools.find("pg_dump", made.manifest.server_major)
    arguments = ["--schema=public", "--format=custom", "--no-owner", "--no-privileges"]
    await pg_tools.run(tool, url, [*arguments, f"--file={directory / DATABASE}"])
    change_manifest(directory, format=1)
    return directory


def change_manifest(directory: Path, **changes: Any) -> None:
    manifest = json.loads((directory / MANIFEST).read_bytes())
    (directory / MANIFEST).write_text(json.dumps(manifest | changes))
    sign_anew(directory)


def patch(directory: Path, old: str, new: str) -> None:
    """Replace a statement inside the archive by another one of the same length."""
    path = directory / DATABASE
    data = path.read_bytes()
    assert data.count(old.encode()) == 1
    path.write_bytes(data.replace(old.encode(), new.ljust(len(old)).encode()))
    sign_anew(directory)


async def refused(redis: Redis, target: str, directory: Path, match: str) -> None:
    """Both commands refuse it, and the target is as empty as it was."""
    await redis.flushall()
    with pytest.raises(BackupError, match=match):
        await verify_backup(directory)
    with pytest.raises(BackupError, match=match):
        await restore_backup(redis, target, directory, RULES)
    assert await redis.dbsize() == 0
    assert await sql(target, "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                     " WHERE n.nspname IN ('public', 'chunkcrawl_before_restore')") == []  # fmt: skip


# -- what is more than data --

RUN = "COPY (SELECT 1) TO PROGRAM 'touch {trap}/x'"
FUNCTION = f"CREATE FUNCTION public.boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {RUN}; RETURN NEW; END $$"
INLINE = (
    f"CREATE FUNCTION public.boom(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN {RUN}; RETURN t; END $$"
)


@pytest.mark.parametrize(
    ("statements", "match"),
    [
        ((FUNCTION, "CREATE TRIGGER b BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION boom()"), "FUNCTION 'boom"),
        ((INLINE, "CREATE INDEX evil ON runs (boom(run_id))"), "FUNCTION 'boom"),
        (("CREATE RULE evil AS ON INSERT TO runs DO ALSO SELECT pg_read_file('/etc/hostname')",), "RULE"),
        (("ALTER TABLE runs ALTER started_at SET DEFAULT pg_read_file('/etc/hostname')::timestamptz",), "not made as"),
        (("ALTER TABLE runs ALTER seed SET DEFAULT lo_import('/etc/hostname')",), "TABLE 'runs' is not made as ours"),
        (("ALTER TABLE runs ADD CHECK (pg_read_file('/etc/hostname') <> run_id)",), "TABLE 'runs' is not made as ours"),
        (("CREATE INDEX evil ON runs (lower(run_id))",), "INDEX 'evil' is not made as ours"),
        (("CREATE TABLE extra (x int)",), "rows of public.'extra'|TABLE 'extra'"),
        (("CREATE VIEW look AS SELECT pg_read_file('/etc/hostname')",), "VIEW 'look', which is no data of ours"),
        (("CREATE MATERIALIZED VIEW look AS SELECT 1",), "MATERIALIZED VIEW"),
        (("CREATE DOMAIN d AS text CHECK (pg_read_file(VALUE) = '')",), "DOMAIN 'd'"),
        (("CREATE SEQUENCE s",), "SEQUENCE 's'"),
        (
            ("ALTER TABLE runs ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON runs USING (false)"),
            "ROW SECURITY|POLICY",
        ),
        (("ALTER TABLE accounts ADD COLUMN more text DEFAULT 'x'",), "TABLE 'accounts' is not made as ours"),
        (("CREATE TABLE event_logs_99990101 (LIKE event_logs)",), "no table of ours|TABLE 'event_logs_9999"),
    ],
)
async def test_more_than_data_is_refused_by_its_name(
    redis: Redis,
    source: str,
    blank_postgres_url: str,
    tmp_path: Path,
    trap: Path,
    statements: tuple[str, ...],
    match: str,
) -> None:
    await sql(source, *(statement.replace("{trap}", str(trap)) for statement in statements))
    await sql(source, "DELETE FROM runs")  # whose rows would spring the trap here
    directory = await first_format(redis, source, tmp_path / "b")
    (trap / "x").unlink(missing_ok=True)
    await refused(redis, blank_postgres_url, directory, match)
    assert left_in(trap) == []


async def test_a_program_in_the_place_of_a_tables_rows(
    redis: Redis, source: str, blank_postgres_url: str, tmp_path: Path, trap: Path
) -> None:
    """``pg_restore`` sends what the archive says that begins a table's rows, and ``--list`` does not show it."""
    columns = "account_id, email, password_hash, token_hash, agent_count, created_at"
    old, new = f"COPY public.accounts ({columns}) FROM stdin;\n", f"COPY public.accounts FROM PROGRAM 'touch {trap}/x';"
    for made in (await first_format(redis, source, tmp_path / "1"), await second_format(redis, source, tmp_path / "2")):
        patch(made, old, new)
        await init_world(redis, seed=1, shard_count=1)
        await refused(redis, blank_postgres_url, made, "begin with something else than a plain COPY")
        assert left_in(trap) == []
        await init_world(redis, seed=1, shard_count=1)


async def second_format(redis: Redis, url: str, directory: Path) -> Path:
    return (await make_backup(redis, url, directory)).directory


async def test_rows_for_another_table_and_another_schema(
    redis: Redis, source: str, blank_postgres_url: str, tmp_path: Path
) -> None:
    directory = await second_format(redis, source, tmp_path / "b")
    patch(
        directory,
        "COPY public.agents (agent_id, account_id, created_at, thoughts_public)",
        "COPY public.agents (ctid, account_id)",
    )
    await refused(redis, blank_postgres_url, directory, "begin with something else")
    patch(
        directory,
        "COPY public.agents (ctid, account_id)                ",
        "COPY pg_cat.agents (agent_id, account_id, x)",
    )
    await refused(redis, blank_postgres_url, directory, "begin with something else")


@pytest.mark.parametrize("revision", ["9999", "head", "base", "+1", "0001:0002", "../0002", "0001", None, "0002; x", 2])
async def test_another_revision_than_that_of_its_tables(
    redis: Redis, source: str, blank_postgres_url: str, tmp_path: Path, revision: Any
) -> None:
    directory = await second_format(redis, source, tmp_path / "b")
    change_manifest(directory, revision=revision)
    await refused(redis, blank_postgres_url, directory, "does not know|can't be read|the manifest says")


@pytest.mark.parametrize(
    "changes",
    [
        {"tables": {"../../etc/passwd": {"rows": 1, "digest": "1"}}},
        {"tables": {"pg_authid": {"rows": 1, "digest": "1"}}},
        {"tables": {"accounts": {"rows": -1, "digest": "1"}}},
        {"tables": []},
        {"created_at": "\x1b]0;owned\x07"},
        {"chunkcrawl": "0.1\n0"},
        {"run_id": "run:1\x00"},
        {"archived": "999999999999999999999-0"},
        {"tick": 10**30},
        {"counts": {"chunks": 10**9, "agents": 0, "agents_in_world": 0, "facts": 0}},
        {"server_major": "18"},
        {"files": ["../../etc/passwd"]},
        {"format": 3},
    ],
)
async def test_manifests_that_say_something_else(
    redis: Redis, source: str, blank_postgres_url: str, tmp_path: Path, changes: dict[str, Any]
) -> None:
    directory = await second_format(redis, source, tmp_path / "b")
    change_manifest(directory, **changes)
    with pytest.raises(BackupError) as error:
        await verify_backup(directory)
    assert str(error.value).isprintable()
    await refused(redis, blank_postgres_url, directory, "manifest|has no table")


async def test_rows_that_a_terminal_would_act_on(
    redis: Redis, source: str, blank_postgres_url: str, tmp_path: Path
) -> None:
    await sql(source, "UPDATE accounts SET email = E'\\x1b]0;owned'")
    directory = await second_format(redis, source, tmp_path / "b")
    await refused(redis, blank_postgres_url, directory, "control characters")


# -- what is data --


async def test_a_backup_of_the_version_before_comes_back(
    redis: Redis, source: str, blank_postgres_url: str, tmp_path: Path
) -> None:
    engine = patient_engine(source)
    for day in ("2026-01-30", "2026-01-31"):
        at = (await sql(source, f"SELECT CAST('{day}T12:00Z' AS timestamptz)"))[0][0]
        await event_log_days.make(engine, at.date(), at.date())
        columns = "at, entry_id, run_id, tick, kind, payload"
        row = f"'{day}T12:00Z', '1769774400000-0', 'run_old', 1, 'chat', '{{\"text\": \"a\\\\nb\"}}'"
        await sql(source, f"INSERT INTO event_logs ({columns}) VALUES ({row})")
    directory = await first_format(redis, source, tmp_path / "b")
    await redis.flushall()
    await verify_backup(directory)
    await restore_backup(redis, blank_postgres_url, directory, RULES)
    assert await current(blank_postgres_url) == head()
    target = patient_engine(blank_postgres_url)
    async with engine.connect() as there, target.connect() as here:
        before, after = await digests(there, None, "0-0"), await digests(here, None, "0-0")
    assert {**before, "runs": None} == {**after, "runs": None}
    assert [day.isoformat() for day in await event_log_days.days(target)] == ["2026-01-30", "2026-01-31"]
    await engine.dispose()
    await target.dispose()


async def test_what_is_made_today_holds_rows_and_nothing_else(redis: Redis, source: str, tmp_path: Path) -> None:
    """Whatever else an operator has put beside our tables stays out of it, so that it can be restored."""
    await sql(source, "CREATE VIEW mine AS SELECT 1", "CREATE TABLE scribbles (x int)", "CREATE SEQUENCE s")
    directory = await second_format(redis, source, tmp_path / "b")
    tool = await pg_tools.find("pg_dump", 18)
    listed = await pg_tools.execute([tool.path.replace("pg_dump", "pg_restore"), "--list", str(directory / DATABASE)])
    lines = [line for line in listed.decode().splitlines() if line and not line.startswith(";")]
    kinds = {" ".join(line.split()[3:5]) for line in lines}
    assert kinds == {"TABLE DATA"}
    await verify_backup(directory)
