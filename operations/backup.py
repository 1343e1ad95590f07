"""Making a backup while the game runs, and checking one.

The order makes the two halves fit: the world in Redis at one moment, then the facts that wait for the event log, then
a snapshot of PostgreSQL, which ``pg_dump`` and the tables' digests share.  So whatever account, agent or fact the
world knows of is in the database's half.  What the database knows beyond that is harmless, but for facts that
happened after the world's moment: the manifest says from where on, and ``operations.restore`` cuts them off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeVar

import structlog
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cluster import backup_age
from cluster.world_run import RUN
from migrations.run import current, revisions
from operations import backup_files, dump_content, pg_tools
from operations.backup_files import DATABASE, MANIFEST, WORLD, BackupError, Manifest
from operations.dump_content import Content
from operations.fsck import check
from operations.pg_archive import Archive, ArchiveError
from operations.pg_tools import PgToolError
from operations.table_digests import SCHEMA, TABLES, THERE, VERSION_TABLE, digests
from operations.world_dump import WorldDump, checkable, read_world
from store.pg_session import patient_engine

T = TypeVar("T")

log = structlog.get_logger(__name__)

PARTITIONS: Final = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent"
    " JOIN pg_namespace n ON n.oid = p.relnamespace WHERE n.nspname = :schema AND p.relname = ANY(:names) ORDER BY 1"
)

LOCK_WAIT: Final = "60s"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that lies whole in ``directory``."""

    directory: Path
    manifest: Manifest
    bytes: int
    #: Segments of recordings; None: they were not asked for.
    segments: int | None = None


def tell_nobody(step: str, percent: int) -> None:
    """Leave unsaid how far a backup is."""


async def make_backup(
    redis: Redis,
    database_url: str,
    directory: Path,
    tell: Callable[[str, int], None] = tell_nobody,
    take_recordings: Callable[[Path], int] | None = None,
) -> Backup:
    """Write a backup of the system into ``directory``, which must not exist.

    Args:
        take_recordings: puts them into a directory that it makes, and returns how many segments there are.
        tell: called with what is done now (``world``, ``database``, ``sums``) and how many percent are done, about.

    Raises:
        BackupError: there is no world, the directory is there, or ``pg_dump`` is missing or has failed.  Nothing
            bears the directory's name then.
        RedisError, SQLAlchemyError, OSError: likewise.
    """
    revision = await current(database_url)
    with backup_files.new_backup(directory) as partial:
        tell("world", 5)
        dump = await read_world(redis)
        if dump is None:
            raise BackupError("this Redis holds no world")
        await asyncio.to_thread(backup_files.write_world, partial / WORLD, dump)
        tell("database", 25)
        manifest = await _dump_database(database_url, partial / DATABASE, dump, revision)
        tell("sums", 90)
        backup_files.write_synced(partial / MANIFEST, manifest.to_json())
        segments = None
        if take_recordings is not None:
            segments = await asyncio.to_thread(take_recordings, partial / backup_files.RECORDINGS)
    await backup_age.note(redis, str(directory))
    return Backup(directory, manifest, backup_files.size_of(directory), segments)


async def _dump_database(database_url: str, path: Path, dump: WorldDump, revision: str | None) -> Manifest:
    """Dump the database, and return the manifest of both halves.  One snapshot serves the dump and the digests."""
    engine = patient_engine(database_url)
    run_id = dump.world.get(RUN)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            snapshot: str = (await connection.execute(text("SELECT pg_export_snapshot()"))).scalar_one()
            major = await server_major(connection)
            tool = await pg_tools.find("pg_dump", major)
            arguments = [
                "--data-only",
                *(f"--table={SCHEMA}.{name}" for name in await _tables(connection)),
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                f"--snapshot={snapshot}",
                f"--lock-wait-timeout={LOCK_WAIT}",
                f"--file={path}",
            ]
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(pg_tools.run(tool, database_url, arguments))
                    tables = group.create_task(digests(connection, run_id, dump.archived))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
    except PgToolError as error:
        raise BackupError(str(error)) from None
    finally:
        await engine.dispose()
    await asyncio.to_thread(backup_files.finish_file, path)
    await asyncio.to_thread(_content, path.parent, look=lambda content: None)  # what we write, we can read
    return Manifest(
        chunkcrawl=version("chunkcrawl"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        server_major=major,
        tool_major=tool.major,
        revision=revision,
        tables=tables.result(),
        seed=int(dump.world["seed"]),
        tick=dump.tick,
        counts=dump.counts(),
        run_id=run_id,
        archived=dump.archived,
    )


async def _tables(connection: AsyncConnection) -> list[str]:
    """Return our tables that are there, and every partition by itself: ``pg_dump`` takes nothing of its own accord.

    Raises:
        BackupError: the event log has a partition that is none of ours, whose rows would be left out.
    """
    names = list(await connection.scalars(THERE, {"schema": SCHEMA, "names": [*TABLES, VERSION_TABLE]}))
    partitions = list(await connection.scalars(PARTITIONS, {"schema": SCHEMA, "names": names}))
    for name in partitions:
        if not dump_content.is_log(name):
            raise BackupError(f"{name!a} is a partition of the event log that chunkcrawl has not made: detach it")
    return [*names, *partitions]


async def server_major(connection: AsyncConnection) -> int:
    """Return the major version of the server."""
    return int((await connection.execute(text("SHOW server_version_num"))).scalar_one()) // 10_000


# -- checking --


@dataclass(frozen=True, slots=True)
class Verified:
    """What a backup says of itself, held against what it holds.  ``bytes_unpacked``: of its rows."""

    manifest: Manifest
    bytes_unpacked: int


async def verify_backup(directory: Path) -> Verified:
    """Check a backup without any server and without running anything of it.

    Looked at are the bytes, by their sums; every entry of the database's half, which has to be rows of our tables;
    the rows, by number; every record of the world, by its bounds; the world, by the checker.  Held against their
    digests the rows are when they are restored.

    Raises:
        BackupError: it is not to be trusted; the text says why.
    """
    await asyncio.to_thread(backup_files.check_sums, directory)
    manifest = backup_files.read_manifest(directory)
    if manifest.revision not in revisions():
        raise BackupError(f"the backup's tables are of revision {manifest.revision}, which this version does not know")
    dump = await asyncio.to_thread(backup_files.read_world, directory)
    if dump.counts() != manifest.counts:
        raise BackupError(f"the world has {dump.counts()}, the manifest says {manifest.counts}")
    if found := check(checkable(dump)):
        raise BackupError(f"the world is not whole: {found[0].code} {found[0].subject}: {found[0].text}")
    unpacked = await asyncio.to_thread(_content, directory, look=lambda content: _check_rows(content, manifest))
    return Verified(manifest, unpacked)


def _content(directory: Path, *, look: Callable[[Content], T]) -> T:
    """Return what ``look`` finds in a backup's rows.  Raises ``BackupError``."""
    try:
        with backup_files.opened(directory, DATABASE) as file:
            return look(dump_content.content_of(Archive(file)))
    except ArchiveError as error:
        raise BackupError(f"{DATABASE} is not to be trusted: {error}") from None


def _check_rows(content: Content, manifest: Manifest) -> int:
    """Compare the rows with the manifest by number; return how many bytes they are."""
    if content.revision != manifest.revision:
        raise BackupError(f"{DATABASE} is of revision {content.revision}, the manifest says {manifest.revision}")
    counts, unpacked = dump_content.count_rows(content)
    for table in sorted(manifest.tables.keys() | counts.keys()):
        if table not in counts:
            raise BackupError(f"{DATABASE} has no table {table}")
        if table not in manifest.tables:
            raise BackupError(f"{DATABASE} has rows of {table}, of which the manifest knows nothing")
        rows, wanted = counts[table], manifest.tables[table].rows
        # Facts that happened after the world's moment are in it, and not counted in the manifest.
        if rows != wanted and not (table == dump_content.LOG and rows > wanted):
            raise BackupError(f"{DATABASE} has {rows} rows of {table}, the manifest says {wanted}")
    return unpacked
