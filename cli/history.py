"""``chunkcrawl history``: what an agent did, or what happened in a chunk, from the event log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer
from sqlalchemy.exc import SQLAlchemyError

from chunkcrawl.commands.common import DEFAULT_BASE, EXIT_FAILED, EXIT_USAGE, BaseOption, JsonOption
from chunkcrawl.commands.history import (
    KindOption,
    LimitOption,
    SinceOption,
    UntilOption,
    entry_line,
    parse_moment,
    show_history,
)
from config.settings import SettingsError
from embedded.children import ServiceError
from operations.operator_services import open_services
from store import event_log
from store.engine import make_engine
from store.event_log import LoggedEvent

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.command()
def history(
    mine: Annotated[
        str | None, typer.Argument(metavar="[AGENT]", help="An agent of yours, with your key, from the server.")
    ] = None,
    agent: Annotated[str | None, typer.Option(metavar="ID", help="Any agent, from the world's database.")] = None,
    chunk: Annotated[str | None, typer.Option(metavar="ID", help="A chunk, from the world's database.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    kind: KindOption = None,
    limit: LimitOption = 50,
    base: BaseOption = DEFAULT_BASE,
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show crossings, results (each with its command), harvests, gifts, chat, joins and leaves, oldest first, in UTC.

    An agent of one's own is asked for by name; operators read any agent, or a chunk, in the database.

    The log is a second or so behind the game and goes back CHUNKCRAWL_EVENT_LOG_KEEP_DAYS.

    Exit codes: 0 done (also when there is nothing), 1 refused, or the database can't be reached, 2 wrong usage or
    settings, 3 the server can't be reached.

    Examples: chunkcrawl history scout-1 --since 2h --kind harvest;
    chunkcrawl history --agent scout-1; chunkcrawl history --chunk chunk-0 --since 2h --limit 500 --json
    """
    if [mine, agent, chunk].count(None) != 2:
        raise typer.BadParameter("give one of AGENT, --agent and --chunk")
    if mine is not None:
        show_history(mine, since=since, until=until, kinds=kind or [], limit=limit, base=base, as_json=as_json)
        return
    if until is not None or kind:
        raise typer.BadParameter("--until and --kind go with AGENT, not with --agent or --chunk")
    start = None if since is None else parse_moment(since, datetime.now(UTC), "--since")
    try:
        with open_services(data) as settings:
            found = asyncio.run(_read(settings.database_url, agent, chunk, start, limit))
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except (ServiceError, SQLAlchemyError, OSError) as error:
        typer.echo(f"error: {str(error) or type(error).__name__}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    for event in found:
        typer.echo(json_line(event) if as_json else line(event))
    if not found and not as_json:
        typer.echo("Nothing.", err=True)


async def _read(
    database_url: str, agent: str | None, chunk: str | None, since: datetime | None, limit: int
) -> list[LoggedEvent]:
    engine = make_engine(database_url)
    try:
        return await event_log.read(engine, agent_id=agent, chunk_id=chunk, since=since, limit=limit)
    finally:
        await engine.dispose()


def line(event: LoggedEvent) -> str:
    """Return an event as a line, as players see it."""
    return entry_line(event.at, event.tick, event.chunk_id, event.agent_id, event.kind, event.payload)


def json_line(event: LoggedEvent) -> str:
    """Return an event as a JSON object."""
    fields: Mapping[str, Any] = {
        "at": event.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "entry_id": event.entry_id,
        "run_id": event.run_id,
        "tick": event.tick,
        "chunk_id": event.chunk_id,
        "agent_id": event.agent_id,
        "kind": event.kind,
        "payload": dict(event.payload),
    }
    return orjson.dumps(fields).decode()
