"""Restoring: everything comes back once, nothing of the old system can disturb, and a failure leaves what was there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.archiver import Archiver
from cluster.graph import init_world
from cluster.local import LocalWorld
from cluster.snapshots import Snapshotter
from cluster.world_rules import rules_in, stored
from migrations.run import current, head, upgrade
from operations import backup as backup_module
from operations import backup_files, restore, schema_swap
from operations.backup import make_backup
from operations.backup_files import MANIFEST, WORLD, BackupError, Manifest
from operations.fsck import check, read_dump
from operations.rebuild import NotWhole, rebuild
from operations.restore import Restored, restore_backup
from operations.restore_check import RestoreRefused
from operations.table_digests import digests
from operations.world_dump import WorldDump, read_world
from operations.world_settle import settle
from store import api_keys, audit, bans, operators
from store.audit import AuditEntry
from store.pg_session import patient_engine
from store.sessions import put_many
from streaming import keys
from streaming.journal import Fenced
from tests.cluster.lasting import KEEP, QUICK, RULES, empty_redis, essence, heard, playing
from tests.cluster.worlds import player, whole
from tests.operations.test_backup import sign_anew
from tests.store.rows import new_account, new_key, session_record
from world.rules import WORLD_RULES, Rules


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with empty_redis(valkey_url) as client:
        yield client


@asynccontextmanager
async def engine_of(url: str) -> AsyncIterator[AsyncEngine]:
    engine = patient_engine(url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def source(fresh_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    """The database of the system that is backed up."""
    async with engine_of(fresh_postgres_url) as engine:
        yield engine


@pytest.fixture
async def target(blank_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    """An empty database."""
    async with engine_of(blank_postgres_url) as engine:
        yield engine


def url_of(engine: AsyncEngine) -> str:
    return engine.url.render_as_string(hide_password=False)


async def dumped(redis: Redis) -> WorldDump:
    dump = await read_world(redis)
    assert dump is not None
    return dump


async def rows(engine: AsyncEngine, query: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


@pytest.fixture
async def backup(redis: Redis, source: AsyncEngine, tmp_path: Path) -> Path:
    """A backup of a small system at rest: an account, a key, a live session, an agent, some facts."""
    account = await new_account(source, "old@example.com")
    await new_key(source, account, label="鍵 🔑")
    await put_many(source, [session_record(account)])
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world:
        walker = await player(world, "w")
        await walker.move(25, 49)
        await walker.place()
        await Archiver(redis, source).drain()
        await Snapshotter(redis, source, keep=KEEP).look()
        await heard(walker)
    return (await make_backup(redis, url_of(source), tmp_path / "b")).directory


async def into(redis: Redis, target: AsyncEngine, directory: Path, *, force: bool = False) -> Restored:
    return await restore_backup(redis, url_of(target), directory, RULES, force=force)


# -- everything comes back --


async def test_a_system_that_played_comes_back_whole(
    redis: Redis, source: AsyncEngine, target: AsyncEngine, tmp_path: Path
) -> None:
    """The short form of `make rehearsal`: backed up while agents play and facts are archived, restored elsewhere."""
    account = await new_account(source, "müller@example.com")
    await new_key(source, account)
    await redis.set("sess:stale", "x")
    async with LocalWorld(redis, shards=3, rules=RULES, config=QUICK) as world, playing(world, 8):
        archiver = Archiver(redis, source)
        for _ in range(5):
            await asyncio.sleep(0.2)
            await archiver.step()
        await Snapshotter(redis, source, keep=KEEP).look()
        manifest = (await make_backup(redis, url_of(source), tmp_path / "b")).manifest
        await asyncio.sleep(0.5)  # and the old world goes on
    await archiver.drain()
    then = backup_files.read_world(tmp_path / "b")
    wanted = await rows(
        source, "SELECT entry_id, run_id, tick, kind, payload::text FROM event_logs ORDER BY at, entry_id"
    )
    position = tuple(int(part) for part in manifest.archived.split("-"))
    wanted = [row for row in wanted if tuple(int(part) for part in row[0].split("-")) <= position]
    await redis.flushall()

    restored = await into(redis, target, tmp_path / "b")

    now = await dumped(redis)
    assert essence(now) == essence(then)
    assert check(await read_dump(redis, list(now.agents))) == []
    found = await rows(
        target, "SELECT entry_id, run_id, tick, kind, payload::text FROM event_logs ORDER BY at, entry_id"
    )
    assert found == wanted
    for table in ("accounts", "api_keys", "agents"):
        query = f"SELECT t::text FROM {table} t ORDER BY 1"
        assert await rows(target, query) == await rows(source, query), table
    assert await current(url_of(target)) == head()
    assert restored.counts == manifest.counts | {"facts": 0}
    assert await redis.keys("sess:*") == []
    async with LocalWorld(redis, shards=3, rules=RULES, config=QUICK) as world:
        names = [f"agent-{number}" for number in range(8)]
        agents = [await player(world, name) for name in names]
        assert all(await asyncio.gather(*(heard(agent) for agent in agents)))
        assert await whole(redis, names) == []
        await Archiver(redis, target).drain()
    runs = await rows(target, "SELECT run_id, ended_at IS NULL FROM runs ORDER BY started_at")
    assert runs == [(manifest.run_id, False), (restored.run_id, True)]
    assert await rows(target, f"SELECT count(*) > 8 FROM event_logs WHERE run_id = '{restored.run_id}'") == [(True,)]


async def test_facts_that_waited_and_facts_of_the_future(
    redis: Redis, source: AsyncEngine, target: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited for the event log at the world's moment is in it; what came after that moment is not."""
    await init_world(redis, seed=1, shard_count=1)
    archiver = Archiver(redis, source)

    async def say(first: int, last: int) -> None:
        for number in range(first, last):
            fact = {"fact": "chat", "tick": number, "chunk_id": "chunk-0", "agent_id": "a"}
            await redis.xadd(keys.ARCHIVE_STREAM, {"m": orjson.dumps(fact)})

    await say(0, 3)
    await archiver.drain()
    await say(3, 6)
    real = read_world

    async def read_and_go_on(redis: Redis) -> WorldDump | None:
        dump = await real(redis)
        await say(6, 9)
        await archiver.drain()  # which writes 3..8 between the two halves
        return dump

    monkeypatch.setattr(backup_module, "read_world", read_and_go_on)
    await make_backup(redis, url_of(source), tmp_path / "b")
    await redis.flushall()
    await into(redis, target, tmp_path / "b")
    await Archiver(redis, target).drain()
    assert await rows(target, "SELECT tick FROM event_logs ORDER BY tick") == [(tick,) for tick in range(6)]


async def test_no_session_outlives_it(redis: Redis, target: AsyncEngine, backup: Path) -> None:
    await redis.flushall()
    await into(redis, target, backup)
    assert await rows(target, "SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND expires_at > now()") == [(0,)]
    assert await rows(target, "SELECT count(*) FROM sessions") == [(1,)]


async def test_a_backup_of_what_was_restored_can_be_restored(
    redis: Redis, target: AsyncEngine, backup: Path, tmp_path: Path
) -> None:
    await redis.flushall()
    before = essence(backup_files.read_world(backup))
    for turn in range(3):
        await into(redis, target, backup, force=turn > 0)
        made = await make_backup(redis, url_of(target), tmp_path / f"again-{turn}")
        backup = made.directory
    assert essence(await dumped(redis)) == before
    assert await rows(target, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'chunkcrawl%'") == []


async def test_a_backup_of_older_tables_comes_up_to_date(
    redis: Redis, source: AsyncEngine, target: AsyncEngine, tmp_path: Path
) -> None:
    async with source.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await upgrade(url_of(source), "0001")
    account = await new_account(source)
    await init_world(redis, seed=1, shard_count=1)
    made = await make_backup(redis, url_of(source), tmp_path / "b")
    assert made.manifest.revision == "0001"
    await redis.flushall()
    await into(redis, target, tmp_path / "b")
    assert await current(url_of(target)) == head()
    assert await rows(target, "SELECT account_id FROM accounts") == [(account,)]


async def test_the_world_keeps_the_rules_of_its_backup(redis: Redis, target: AsyncEngine, backup: Path) -> None:
    await redis.flushall()
    before = essence(backup_files.read_world(backup))
    others = Rules(demo=False, tick_hz=10, gold_nodes_min=1, gold_nodes_max=1)
    restored = await restore_backup(redis, url_of(target), backup, others)
    assert restored.rules_taken is None
    after = await dumped(redis)
    assert rules_in(after.world) == RULES.of_world
    assert essence(after) == before
    [(info,)] = await rows(target, f"SELECT info FROM runs WHERE run_id = '{restored.run_id}'")
    assert {name: str(info[name]) for name in WORLD_RULES} == stored(RULES.of_world)


async def test_the_backup_of_an_older_version_takes_the_rules_that_are_set_and_says_so(
    redis: Redis, source: AsyncEngine, target: AsyncEngine, tmp_path: Path
) -> None:
    await init_world(redis, seed=1, shard_count=1)
    await redis.hdel(keys.WORLD, *WORLD_RULES)
    await make_backup(redis, url_of(source), tmp_path / "b")
    await redis.flushall()
    now = Rules(demo=False, gold_nodes_max=9)
    restored = await restore_backup(redis, url_of(target), tmp_path / "b", now)
    assert rules_in((await dumped(redis)).world) == restored.rules_taken == now.of_world


async def test_the_snapshots_come_back_too_and_a_lost_redis_after_it(
    redis: Redis, target: AsyncEngine, backup: Path
) -> None:
    await redis.flushall()
    await into(redis, target, backup)
    before = await dumped(redis)
    await redis.flushall()
    await rebuild(redis, target, RULES, over=False)
    assert (await dumped(redis)).agents.keys() == before.agents.keys()


# -- refusals --


async def state_of(redis: Redis, engine: AsyncEngine) -> tuple[Any, ...]:
    """Everything in both stores."""
    redis_keys = sorted(await redis.keys("*"))
    async with engine.connect() as connection:
        tables = await digests(connection, None, "0-0")
    return redis_keys, [await redis.dump(key) for key in redis_keys], tables


async def test_a_world_that_runs_is_refused_quiet_or_not(redis: Redis, target: AsyncEngine, backup: Path) -> None:
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world, playing(world, 2):
        with pytest.raises(RestoreRefused, match="a world runs"):
            await into(redis, target, backup)

    async def coordinate() -> None:
        while True:  # nobody plays, but the coordinator writes its status
            await redis.set(keys.STATUS, "{}", ex=30)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(coordinate())
    with pytest.raises(RestoreRefused, match="a world runs"):
        await into(redis, target, backup)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_system_that_holds_something_is_refused(
    redis: Redis, source: AsyncEngine, target: AsyncEngine, backup: Path
) -> None:
    before = await state_of(redis, source)
    with pytest.raises(RestoreRefused, match="in the database and in Redis"):
        await into(redis, source, backup)
    with pytest.raises(RestoreRefused, match="something in Redis"):
        await into(redis, target, backup)
    assert await state_of(redis, source) == before
    await redis.flushall()
    with pytest.raises(RestoreRefused, match="something in the database"):
        await into(redis, source, backup)


async def test_force_gives_up_what_is_there(redis: Redis, source: AsyncEngine, backup: Path) -> None:
    then = backup_files.read_world(backup)
    await new_account(source, "later@example.com")
    await redis.set("inflight:w", "stale")
    await into(redis, source, backup, force=True)
    assert await rows(source, "SELECT email FROM accounts") == [("old@example.com",)]
    assert essence(await dumped(redis)) == essence(then)
    assert await redis.exists("inflight:w") == 0


async def test_force_over_a_running_world_cuts_it_off(redis: Redis, source: AsyncEngine, backup: Path) -> None:
    then = backup_files.read_world(backup)
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world:
        loops = list(world._tasks.values())
        walker = await player(world, "another")
        await walker.submit({"type": "move_to", "x": 25, "y": 0})
        await into(redis, source, backup, force=True)
        for runtime in list(world.shards.runtimes.values()):
            runtime.commits.next.additions.chunk_state("chunk-0", b"{}")
        await asyncio.wait(loops, timeout=10)
        assert all(isinstance(loop.exception(), Fenced) for loop in loops)
    assert essence(await dumped(redis)) == essence(then)


def with_manifest(directory: Path, **changes: Any) -> None:
    manifest = backup_files.read_manifest(directory)
    (directory / MANIFEST).write_bytes(replace(manifest, **changes).to_json())
    sign_anew(directory)


async def test_a_broken_backup_changes_nothing(redis: Redis, source: AsyncEngine, backup: Path) -> None:
    data = bytearray((backup / WORLD).read_bytes())
    data[len(data) // 2] ^= 1
    (backup / WORLD).write_bytes(data)
    before = await state_of(redis, source)
    with pytest.raises(BackupError):
        await into(redis, source, backup, force=True)
    assert await state_of(redis, source) == before


async def test_an_older_server_is_refused(redis: Redis, source: AsyncEngine, backup: Path) -> None:
    with_manifest(backup, server_major=99)
    with pytest.raises(BackupError, match="from PostgreSQL 99, this server is"):
        await into(redis, source, backup, force=True)


async def test_tables_of_a_newer_version_are_refused(
    redis: Redis, source: AsyncEngine, target: AsyncEngine, tmp_path: Path
) -> None:
    await init_world(redis, seed=1, shard_count=1)
    async with source.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await make_backup(redis, url_of(source), tmp_path / "b")
    await redis.flushall()
    with pytest.raises(BackupError, match="does not know"):
        await into(redis, target, tmp_path / "b")
    assert await redis.dbsize() == 0
    assert await rows(target, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


async def test_a_table_that_comes_back_different_is_noticed(redis: Redis, source: AsyncEngine, backup: Path) -> None:
    tables = backup_files.read_manifest(backup).tables
    with_manifest(backup, tables=tables | {"accounts": replace(tables["accounts"], digest="1")})
    before = await state_of(redis, source)
    with pytest.raises(BackupError, match="table accounts came back different"):
        await into(redis, source, backup, force=True)
    assert await state_of(redis, source) == before


# -- failures --


@pytest.mark.parametrize("step", ["_fill", "_begin_run", "write_world"])
async def test_a_failure_at_each_step_leaves_what_was_there(
    redis: Redis, source: AsyncEngine, backup: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = await state_of(redis, source)
    real = getattr(restore, step)

    async def fails(*words: Any) -> None:
        if step != "write_world":
            await real(*words)
        raise RedisError("gone")

    monkeypatch.setattr(restore, step, fails)
    with pytest.raises(RedisError, match="gone"):
        await into(redis, source, backup, force=True)
    assert await state_of(redis, source) == before


async def test_killed_in_the_middle_the_next_one_puts_the_old_back_first(
    redis: Redis, source: AsyncEngine, backup: Path
) -> None:
    before = await state_of(redis, source)
    # What a killed restore leaves: the old schema aside, a few tables in the new one.
    await schema_swap.put_aside(source)
    async with source.begin() as connection:
        await connection.execute(text("CREATE TABLE accounts (half int)"))
    tables = backup_files.read_manifest(backup).tables
    manifest: Manifest = backup_files.read_manifest(backup)
    with_manifest(backup, tables=tables | {"accounts": replace(tables["accounts"], digest="1")})
    with pytest.raises(BackupError, match="came back different"):
        await into(redis, source, backup, force=True)
    assert await state_of(redis, source) == before
    with_manifest(backup, tables=manifest.tables)
    await into(redis, source, backup, force=True)
    assert await rows(source, "SELECT email FROM accounts") == [("old@example.com",)]


async def test_a_world_that_would_not_be_whole_changes_nothing(
    redis: Redis, source: AsyncEngine, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await state_of(redis, source)
    real = settle

    def breaks(*words: Any) -> WorldDump:
        settled = real(*words)
        settled.chunks["chunk-0"].fields["N"] = "chunk-0"
        return settled

    monkeypatch.setattr(restore, "settle", breaks)
    with pytest.raises(NotWhole, match="one_sided_link"):
        await into(redis, source, backup, force=True)
    assert await state_of(redis, source) == before


@pytest.mark.parametrize(
    ("running", "match"),
    [
        ({"kind": "give"}, "KeyError"),
        ({"kind": "fly"}, "can't be read"),
        ({"kind": "move_to", "target": [0, 25], "origin": [0, 0], "path": "WWWW"}, None),
    ],
)
async def test_a_command_that_no_shard_could_go_on_with(
    redis: Redis, target: AsyncEngine, backup: Path, running: dict[str, Any], match: str | None
) -> None:
    """It would end every shard that loads it, again and again; one that merely makes no sense ends as failed."""
    ticket = {"server_cmd_id": "s", "client_cmd_id": "c", "trace_id": "t", "started_tick": 1, "order": 1}
    dump = backup_files.read_world(backup)
    record = orjson.loads(dump.agents["w"]["rec"]) | {"running": ticket | running}
    dump.agents["w"] |= {"rec": orjson.dumps(record).decode(), "busy": running["kind"]}
    (backup / WORLD).unlink()
    backup_files.write_world(backup / WORLD, dump)
    sign_anew(backup)
    await redis.flushall()
    if match is not None:
        with pytest.raises(BackupError, match=match):
            await into(redis, target, backup)
        assert await redis.dbsize() == 0
        return
    await into(redis, target, backup)
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world:
        assert await heard(await player(world, "w"))


async def test_bans_and_what_was_revoked_hold_over_a_restore_and_so_does_what_operators_did(
    redis: Redis, source: AsyncEngine, tmp_path: Path
) -> None:
    await init_world(redis, seed=1, shard_count=2)

    async def ban(subject: str) -> None:
        await bans.ban(source, "agent", subject, reason="spam", by="alice", minutes=None)

    await operators.create(
        source, operator_id="opr_1", name="bob", role="operator", prefix="p", token_hash="h", expires_at=None
    )
    await ban("before")
    account_id = await new_account(source)
    leaked, kept = [await new_key(source, account_id) for _ in range(2)]
    directory = tmp_path / "with-bans"
    await make_backup(redis, url_of(source), directory)
    await ban("after")
    await operators.revoke(source, "opr_1")
    revoked_at = await api_keys.revoke(source, account_id, leaked.key_id)
    line = await audit.begin(source, AuditEntry(None, "alice", "operator", "", "ban-agent", "after", {}), 1)
    await into(redis, source, directory, force=True)
    assert {one.subject for one in await bans.in_force(source)} == {"before", "after"}
    assert not await operators.any_alive(source)
    found = {one.key_id: one.revoked_at for one in await api_keys.list_of(source, account_id)}
    assert found == {leaked.key_id: revoked_at, kept.key_id: None}
    assert [one.audit_id for one in await audit.lines(source, limit=9)] == [line]
