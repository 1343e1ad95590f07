"""``chunkcrawl history``: what an agent did, or what happened in a chunk, from the event log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import orjson
import typer
from sqlalchemy.exc import SQLAlchemyError

from chunkcrawl.commands.common import EXIT_FAILED, EXIT_USAGE
from config.settings import SettingsError
from embedded.children import ServiceError
from operations.operator_services import open_services
from operations.printable import printable
from store import event_log
from store.engine import make_engine
from store.event_log import LoggedEvent

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)

LIMIT_MOST: Final = 100_000
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_AGO: Final = re.compile(r"(\d{1,6})([smhd])", re.ASCII)


@app.command()
def history(
    agent: Annotated[str | None, typer.Option(metavar="ID", help="What this agent did.")] = None,
    chunk: Annotated[str | None, typer.Option(metavar="ID", help="What happened in this chunk.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on: `30m`, `2h`, `7d` ago, or an ISO time (UTC).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MOST, help="The newest so many.")] = 50,
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show crossings, results (each names its command), harvests, chat, joins and leaves, oldest first, times in UTC.

    The log is a second or so behind the game and goes back CHUNKCRAWL_EVENT_LOG_KEEP_DAYS.

    Exit codes: 0 done (also when there is nothing), 1 the database can't be reached, 2 wrong usage or settings.

    Examples: chunkcrawl history --agent scout-1; chunkcrawl history --chunk chunk-0 --since 2h --limit 500 --json
    """
    if (agent is None) == (chunk is None):
        raise typer.BadParameter("give either --agent or --chunk")
    start = None if since is None else parse_since(since, datetime.now(UTC))
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
        typer.echo(json_line(event) if json else line(event))
    if not found and not json:
        typer.echo("Nothing.", err=True)


async def _read(
    database_url: str, agent: str | None, chunk: str | None, since: datetime | None, limit: int
) -> list[LoggedEvent]:
    engine = make_engine(database_url)
    try:
        return await event_log.read(engine, agent_id=agent, chunk_id=chunk, since=since, limit=limit)
    finally:
        await engine.dispose()


def parse_since(words: str, now: datetime) -> datetime:
    """Return the time ``2h`` before ``now``, or an ISO time (UTC without a zone).  Raises ``typer.BadParameter``."""
    ago = _AGO.fullmatch(words)
    if ago is not None:
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(words)
    except ValueError:
        raise typer.BadParameter("must be like 30m, 2h, 7d or 2026-03-01T12:00", param_hint="--since") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def line(event: LoggedEvent) -> str:
    """Return an event as a line: time, tick, chunk, agent, kind and its own fields, without control characters."""
    details = " ".join(f"{name}={_word(value)}" for name, value in sorted(event.payload.items()) if value is not None)
    at = event.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    place, who = event.chunk_id or "-", event.agent_id or "-"
    place, who, kind = printable(place), printable(who), printable(event.kind)
    return f"{at} {event.tick:>9} {place:<10} {who:<16} {kind:<11} {details}".rstrip()


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


def _word(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[\w.:\-]+", value, re.ASCII):
        return value
    return printable(orjson.dumps(value).decode())
