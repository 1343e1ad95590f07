"""Making a backup while the game runs, and checking one.

The order makes the two halves fit: the world in Redis at one moment, then the facts that wait for the event log, then
a snapshot of PostgreSQL, which ``pg_dump`` and the tables' digests share.  So whatever account, agent or fact the
world knows of is in the database's half.  What the database knows beyond that is harmless, but for facts that
happened after the world's moment: the manifest says from where on, and ``cluster.restore`` cuts them off.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cluster import backup_age, backup_files, pg_tools
from cluster.backup_files import DATABASE, MANIFEST, WORLD, BackupError, Manifest
from cluster.fsck import check
from cluster.pg_session import patient_engine
from cluster.pg_tools import PgToolError
from cluster.table_digests import SCHEMA, digests
from cluster.world_dump import WorldDump, checkable, read_world
from cluster.world_run import RUN
from migrations.run import current

log = structlog.get_logger(__name__)

LOCK_WAIT: Final = "60s"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that lies whole in ``directory``."""

    directory: Path
    manifest: Manifest
    bytes: int


async def make_backup(redis: Redis, database_url: str, directory: Path) -> Backup:
    """Write a backup of the system into ``directory``, which must not exist.

    Raises:
        BackupError: there is no world, the directory is there, or ``pg_dump`` is missing or has failed.  Nothing
            bears the directory's name then.
        RedisError, SQLAlchemyError, OSError: likewise.
    """
    revision = await current(database_url)
    with backup_files.new_backup(directory) as partial:
        dump = await read_world(redis)
        if dump is None:
            raise BackupError("this Redis holds no world")
        await asyncio.to_thread(backup_files.write_world, partial / WORLD, dump)
        manifest = await _dump_database(database_url, partial / DATABASE, dump, revision)
        backup_files.write_synced(partial / MANIFEST, manifest.to_json())
    await backup_age.note(redis, str(directory))
    return Backup(directory, manifest, backup_files.size_of(directory))


async def _dump_database(database_url: str, path: Path, dump: WorldDump, revision: str | None) -> Manifest:
    """The database's half, and the manifest of both.  One snapshot serves the dump and the digests."""
    engine = patient_engine(database_url)
    run_id = dump.world.get(RUN)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            snapshot: str = (await connection.execute(text("SELECT pg_export_snapshot()"))).scalar_one()
            major = await server_major(connection)
            tool = await pg_tools.find("pg_dump", major)
            arguments = [
                f"--schema={SCHEMA}",
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


async def server_major(connection: AsyncConnection) -> int:
    """Major version of the server."""
    return int((await connection.execute(text("SHOW server_version_num"))).scalar_one()) // 10_000


# -- checking --


async def verify_backup(directory: Path) -> Manifest:
    """Check a backup without any server: bytes, counts, that the dump can be listed, that the world is whole.

    Raises:
        BackupError: it is not to be trusted; the text says why.
    """
    await asyncio.to_thread(backup_files.check_sums, directory)
    manifest = backup_files.read_manifest(directory)
    dump = await asyncio.to_thread(backup_files.read_world, directory)
    if dump.counts() != manifest.counts:
        raise BackupError(f"the world has {dump.counts()}, the manifest says {manifest.counts}")
    if found := check(checkable(dump)):
        raise BackupError(f"the world is not whole: {found[0].code} {found[0].subject}: {found[0].text}")
    try:
        tool = await pg_tools.find("pg_restore", manifest.tool_major)
        listed = (await pg_tools.execute([tool.path, "--list", str(directory / DATABASE)])).decode()
    except PgToolError as error:
        raise BackupError(str(error)) from None
    for table in manifest.tables:
        if f" TABLE {SCHEMA} {table} " not in listed:
            raise BackupError(f"{DATABASE} has no table {table}")
    return manifest
