"""``chunkcrawl backup`` and ``chunkcrawl restore``."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import orjson
import typer
from alembic.util.exc import CommandError
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from api.operator.models import BACKUP_NAME_PATTERN
from chunkcrawl.commands.common import EXIT_FAILED, EXIT_USAGE
from cli.operator_api import Server, TokenFileOption, UrlOption, post, server_of
from cli.server_jobs import ended_job
from cluster.configs import rules_of
from cluster.world_rules import rules_taken
from config.settings import Settings, SettingsError
from embedded.children import ServiceError
from migrations.run import upgrade
from operations.backup import Backup, make_backup, verify_backup
from operations.backup_files import BackupError, Manifest, read_manifest
from operations.backup_recordings import copy_recordings, place_of_settings
from operations.local_audit import audit_line
from operations.operator_redis import NoAuditLog
from operations.operator_services import open_services
from operations.printable import printable
from operations.rebuild import LOAD_TIMEOUT_S, NothingToRebuild, NotWhole, Rebuilt, rebuild
from operations.restore import Restored, restore_backup
from operations.restore_check import RestoreRefused, refuse_if_running, world_runs
from operations.world_load import WorldThere
from recordings.places import NoSuchPlace
from store.pg_session import patient_engine
from streaming.connect import connect

T = TypeVar("T")

REFUSALS: Final = (NoAuditLog, NoSuchPlace, BackupError, RestoreRefused, NothingToRebuild, NotWhole, ServiceError)
TROUBLE: Final = (RedisError, SQLAlchemyError, OSError, CommandError)

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)

DataOption = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def backup(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The backup's directory, which must not exist yet.")],
    verify: Annotated[bool, typer.Option("--verify", help="Check the backup that lies there instead.")] = False,
    recordings: Annotated[bool, typer.Option("--recordings", help="Take the recordings along.")] = False,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Write database and world into DIR, while the game runs or not; or check such a backup.

    --recordings copies their whole segments into DIR/recordings, for `chunkcrawl verify`; up to the last ten minutes
    are in none yet.

    --verify looks at every byte, entry, row and record, and runs nothing of it; anything but data is refused.

    With --url the server makes or checks the backup of that name in its own CHUNKCRAWL_BACKUP_DIR.

    Holds password hashes: keep it as you keep the database. Not in it: sessions, challenges, limits and mutes, and the
    secrets of the installation.

    Exit codes: 0 done, 1 failed (then nothing bears the name DIR) or not to be trusted, 2 unusable settings.

    Examples: chunkcrawl backup /backups/$(date -u +%FT%H%MZ); chunkcrawl backup --verify /backups/2026-03-01T0300Z;
    chunkcrawl backup 2026-03-01T0300Z --url https://world.example
    """
    console = Console()
    # DIR is a directory here, or a name there: a token in the environment alone does not change what it is.
    if url is not None or token_file is not None:
        server = server_of(url, token_file, data)
        assert server is not None
        _at_server(server, str(directory), verify=verify, recordings=recordings, json=json)
        return
    if verify:
        verified = _run(verify_backup(directory))
        words = _manifest_words(verified.manifest, directory, "is whole and nothing but data")
        words["text"] += f" Unpacked, its rows are {verified.bytes_unpacked} bytes. Nothing in it was run."
        _say(console, json, words | {"bytes_unpacked": verified.bytes_unpacked})
        return

    async def work(settings: Settings, redis: Redis) -> Backup:
        place = place_of_settings(settings) if recordings else None
        take = partial(copy_recordings, place) if recordings else None
        async with _written(settings, "back-up", str(directory)):
            return await make_backup(redis, settings.database_url, directory, take_recordings=take)

    made = _with_services(data, work)
    words = _manifest_words(made.manifest, directory, "written")
    if made.segments is not None:
        words |= {"text": f"{words['text']} With {made.segments} segments of recordings.", "segments": made.segments}
    _say(console, json, words | {"bytes": made.bytes})


@contextlib.asynccontextmanager
async def _written(
    settings: Settings,
    action: str,
    subject: str,
    *,
    refusals: tuple[type[Exception], ...] = (),
    **details: object,
) -> AsyncIterator[None]:
    """Have the block's line in the audit log: ``refused`` after one of ``refusals``, ``failed`` after all else."""
    engine = patient_engine(settings.database_url)
    try:
        async with audit_line(engine, action, subject, details, refusals=refusals):
            yield
    finally:
        await engine.dispose()


def _at_server(server: Server, name: str, *, verify: bool, recordings: bool, json: bool) -> None:
    if recordings or not re.match(BACKUP_NAME_PATTERN, name):
        words = (
            "a server takes no recordings along: copy what CHUNKCRAWL_RECORDINGS_URL names"
            if recordings
            else "on a server a backup has a name of A-Z a-z 0-9 _ -, and lies in CHUNKCRAWL_BACKUP_DIR there"
        )
        typer.echo(f"error: {words}", err=True)
        raise typer.Exit(EXIT_USAGE)
    begun = post(server, f"/backups/{name}/verify") if verify else post(server, "/backups", {"name": name})
    job = ended_job(server, begun["job"])
    if json:
        typer.echo(orjson.dumps(job).decode())
    if job["state"] != "done":
        typer.echo(f"error: {job['state']}: {printable(job['text'])}", err=True)
        raise typer.Exit(EXIT_FAILED)
    if not json:
        typer.echo(f"{name}: {printable(job['text'])}.")


@app.command()
def restore(
    directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="A backup's directory.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Give up what is there, even a running world.")] = False,
    world_from_database: Annotated[
        bool, typer.Option("--world-from-database", help="Rebuild a lost Redis from the database's last snapshots.")
    ] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Restore a backup into an empty system; or rebuild the world from the database when Redis was lost.

    The backup is checked first. It may come from elsewhere: what it holds is loaded as data and never run; but whoever
    made it has made its accounts, keys and gold. A running world, or a system that holds anything, is refused without
    --force. All sessions end; agents stand where they stood. Stop the world before, start it with `chunkcrawl up`
    afterwards.

    Exit codes: 0 done, 1 refused or failed (the old database is still there), 2 wrong usage or settings.

    Examples: chunkcrawl restore /backups/2026-03-01T0300Z --data .data; chunkcrawl restore --world-from-database
    """
    if (directory is None) != world_from_database:
        raise typer.BadParameter("give either DIR or --world-from-database")
    console = Console()
    if directory is None:
        rebuilt = _with_services(data, lambda settings, redis: _rebuild(settings, redis, force))
        _say(console, json, {"text": str(rebuilt), "run_id": rebuilt.run_id, **rebuilt.counts})
        return
    chosen = directory
    try:
        read_manifest(chosen)  # before a server is started for nothing
    except BackupError as error:
        raise _failed(error) from None

    async def work(settings: Settings, redis: Redis) -> Restored:
        # The old database's log is taken over by the new one, so the line that was begun is ended there.
        async with _written(settings, "restore", str(chosen), refusals=(RestoreRefused,), force=force):
            return await restore_backup(redis, settings.database_url, chosen, rules_of(settings), force=force)

    restored = _with_services(data, work, create=True)
    words = _manifest_words(restored.manifest, chosen, "restored")
    if restored.rules_taken is not None:
        words["text"] += f" {rules_taken(restored.rules_taken)}"
    _say(console, json, words | {"run_id": restored.run_id, "goes_on_at_tick": restored.tick})


async def _rebuild(settings: Settings, redis: Redis, force: bool) -> Rebuilt:
    async with _written(settings, "rebuild", "", refusals=(RestoreRefused,), force=force):
        return await _rebuilt(settings, redis, force)


async def _rebuilt(settings: Settings, redis: Redis, force: bool) -> Rebuilt:
    if not force:
        refuse_if_running(await world_runs(redis))
    await upgrade(settings.database_url)
    engine = patient_engine(settings.database_url)
    try:
        return await rebuild(redis, engine, rules_of(settings), over=force)
    except WorldThere:
        raise RestoreRefused("Redis holds a world. Give it up for the last snapshots with --force.") from None
    finally:
        await engine.dispose()


def _manifest_words(manifest: Manifest, directory: Path, what: str) -> dict[str, Any]:
    rows = sum(table.rows for table in manifest.tables.values())
    counts = manifest.counts
    text = (
        f"{directory} {what}: {rows} rows in {len(manifest.tables)} tables, {counts['chunks']} chunks, "
        f"{counts['agents']} agents ({counts['agents_in_world']} in the world), as of {manifest.created_at}, "
        f"tick {manifest.tick}."
    )
    tables = {name: table.rows for name, table in manifest.tables.items()}
    return {"text": text, "created_at": manifest.created_at, "tick": manifest.tick, "tables": tables, **counts}


def _say(console: Console, json: bool, words: dict[str, Any]) -> None:
    text = words.pop("text")
    if json:
        typer.echo(orjson.dumps(words).decode())
    else:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _with_services(data: str | None, work: Callable[[Settings, Redis], Awaitable[T]], *, create: bool = False) -> T:
    async def connected(settings: Settings) -> T:
        redis = connect(settings.redis_url, socket_timeout_s=LOAD_TIMEOUT_S)
        try:
            return await work(settings, redis)
        finally:
            await redis.aclose()

    try:
        with open_services(data, create=create) as settings:
            return _run(connected(settings))
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except ServiceError as error:
        raise _failed(error) from None


def _run(work: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await work

    try:
        return asyncio.run(awaited())
    except (*REFUSALS, *TROUBLE) as error:
        raise _failed(error) from None


def _failed(error: Exception) -> typer.Exit:
    # What went wrong may quote a backup that anybody has made.
    words = printable(" ".join(str(error).split()))
    typer.echo(f"error: {words or type(error).__name__}", err=True)
    return typer.Exit(EXIT_FAILED)
