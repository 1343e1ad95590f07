"""Restoring a backup into an empty system, or over one that its operator gives up (``force``).

The order, and what a failure at each point leaves:

1. the backup and the system are looked at - nothing has changed;
2. the database's schema is put aside; its tables are made anew by our migrations of the backup's revision, filled with
   the backup's rows (``operations.database_load``), held against the manifest, brought up to the newest migration - on
   a failure the old schema is put back; killed, the next restore puts it back first;
3. the world is written into Redis in one transaction that empties it - the commit point;
4. the old schema is dropped.

See docs/decisions/0043-backup-and-restore.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.archive_stream import ArchiveEntry
from cluster.archiver import rows_of
from cluster.world_rules import rules_in
from cluster.world_run import begin_run, new_run_id
from migrations.run import upgrade
from operations import backup_files, database_load, schema_swap
from operations.backup import server_major, verify_backup
from operations.backup_files import DATABASE, BackupError, Manifest
from operations.carry_over import carry_over
from operations.dump_content import content_of
from operations.fsck import check
from operations.pg_archive import Archive, ArchiveError
from operations.rebuild import NotWhole
from operations.restore_check import refuse_unless_free
from operations.table_digests import digests
from operations.world_dump import WorldDump, checkable, read_world
from operations.world_load import write_world
from operations.world_settle import Beginning, beginning, settle, try_out
from store import event_log
from store.pg_session import patient_engine
from world.rules import Rules, WorldRules

FACTS_AT_ONCE: Final = 500

#: Sessions live in Redis, which was emptied; their history must not say otherwise.
END_SESSIONS: Final = text("UPDATE sessions SET revoked_at = now() WHERE revoked_at IS NULL AND expires_at > now()")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, as which run, going on at which tick."""

    manifest: Manifest
    run_id: str
    tick: int
    counts: dict[str, int]
    #: The rules that the world was given, where it had none of its own.
    rules_taken: WorldRules | None = None


async def restore_backup(
    redis: Redis, database_url: str, directory: Path, rules: Rules, *, force: bool = False
) -> Restored:
    """Put the backup's database and world in the place of whatever is there.

    ``rules``: the settings'; what the world has kept from its making goes before them.

    Raises:
        BackupError: the backup is not to be trusted, or PostgreSQL would not take it.
        RestoreRefused: a world runs, or there is something already, and not ``force``.
        NotWhole: the backup's world is not; nothing has changed.
        RedisError, SQLAlchemyError, OSError: something is away; the old database has been put back.
    """
    manifest = (await verify_backup(directory)).manifest
    dump = await asyncio.to_thread(backup_files.read_world, directory)
    kept = rules_in(dump.world)
    rules = rules if kept is None else rules.in_world(kept)
    engine = patient_engine(database_url)
    try:
        runs = await refuse_unless_free(redis, engine, force=force)
        async with engine.connect() as connection:
            major = await server_major(connection)
        if major < manifest.server_major:
            raise BackupError(f"the backup is from PostgreSQL {manifest.server_major}, this server is {major}")
        begin = await _beginning(redis, dump, rules)
        settled = _settled(dump, begin, rules)
        if found := check(checkable(settled)):
            raise NotWhole(found)
        await schema_swap.put_aside(engine)
        try:
            await _fill(engine, database_url, directory, manifest)
            await carry_over(engine)
            await _begin_run(engine, manifest, dump, begin, settled.world)
            await write_world(redis, settled)
        except BaseException:
            await schema_swap.put_back(engine)
            raise
        await schema_swap.drop_old(engine)
        if runs:
            await schema_swap.end_others(engine)
    finally:
        await engine.dispose()
    taken = rules.of_world if kept is None else None
    return Restored(manifest, begin.run_id, begin.tick, settled.counts(), taken)


async def _beginning(redis: Redis, dump: WorldDump, rules: Rules) -> Beginning:
    there = await read_world(redis, facts=False)
    seconds, micros = await redis.time()
    now_ms = seconds * 1000 + micros // 1000
    return beginning(dump, new_run_id(), now_ms=now_ms, tick_hz=rules.tick_hz, there=there)


def _settled(dump: WorldDump, begin: Beginning, rules: Rules) -> WorldDump:
    """Run ``settle`` on records that are each within their bounds and may not fit together.  Raises ``BackupError``."""
    try:
        settled = settle(dump, begin, rules)
        try_out(settled, rules)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise BackupError(f"the world can't be made ready to go on: {error!a}") from None
    return settled


async def _fill(engine: AsyncEngine, database_url: str, directory: Path, manifest: Manifest) -> None:
    """Load the backup's rows into tables of ours, compare them with the manifest, migrate to the newest revision."""
    assert manifest.revision is not None  # ``verify_backup`` knows it
    try:
        await upgrade(database_url, manifest.revision)
        with backup_files.opened(directory, DATABASE) as file:
            await database_load.load(engine, content_of(Archive(file)))
    except ArchiveError as error:
        raise BackupError(f"{DATABASE} is not to be trusted: {error}") from None
    async with engine.connect() as connection:
        found = await digests(connection, manifest.run_id, manifest.archived)
    for table in sorted(found.keys() | manifest.tables.keys()):
        if found.get(table) != manifest.tables.get(table):
            raise BackupError(
                f"table {table} came back different: {found.get(table)}, the manifest says {manifest.tables.get(table)}"
            )
    await upgrade(database_url)


async def _begin_run(
    engine: AsyncEngine, manifest: Manifest, dump: WorldDump, begin: Beginning, world: Mapping[str, str]
) -> None:
    """Begin a new run in the database: facts to the world's moment and no further, no session left."""
    if manifest.run_id is not None:
        await event_log.cut_after(engine, manifest.run_id, manifest.archived)
    await begin_run(engine, begin.run_id, world)
    entries = [ArchiveEntry(id_, payload.encode()) for id_, payload in dump.facts.items()]
    rows = rows_of(entries, manifest.run_id or begin.run_id)
    try:
        for first in range(0, len(rows), FACTS_AT_ONCE):
            await event_log.insert(engine, rows[first : first + FACTS_AT_ONCE])
    except event_log.RowRefused as error:
        raise BackupError(f"PostgreSQL would not take a fact of the world: {error}") from None
    async with engine.begin() as connection:
        await connection.execute(END_SESSIONS)
