"""``chunkcrawl doctor``: is this deployment as it should be, and if not, what is to be done."""

from __future__ import annotations

import asyncio
import json as json_module
import os
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from chunkcrawl.commands.common import EXIT_USAGE
from config.settings import ENV_PREFIX, Settings, SettingsError, load_settings
from operations.doctor.examine import examine
from operations.doctor.finding import Installation, Result

app = typer.Typer(
    no_args_is_help=False, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)

EXIT_FOUND: Final = 1
BACKUP_MOST_H: Final = 26.0


@app.command()
def doctor(
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="URL", help="Where a gateway answers.", show_default="this machine")
    ] = None,
    backup_hours: Annotated[
        float, typer.Option(min=0, metavar="HOURS", help="How old a backup may be.")
    ] = BACKUP_MOST_H,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a deployment: versions, secrets, disk, PostgreSQL, Redis, clocks, gateways, shards, event log, backups.

    Takes the settings from the environment, as `chunkcrawl up` does; changes nothing.

    Exit codes: 0 nothing found, 1 findings (each with a reason and a remedy), 2 settings that can't be used.

    Examples: chunkcrawl doctor; chunkcrawl doctor --base http://gateway:8000 --json | jq .findings
    """
    try:
        settings = settings_of(data)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    installation = Installation(settings, base or _local_url(settings), backup_hours)
    results = asyncio.run(examine(installation))
    found = sum(len(result.findings) for result in results)
    if json:
        checks = [result.to_json() for result in results]
        typer.echo(orjson.dumps({"ok": not found, "findings": found, "checks": checks}).decode())
    else:
        _print(results, found)
    raise typer.Exit(EXIT_FOUND if found else 0)


def settings_of(data_dir: str | None) -> Settings:
    """Return the environment's settings, their URLs those of the run in the data directory where it names none.

    Raises:
        SettingsError: see ``load_settings``.
    """
    settings = load_settings(data_dir=data_dir)
    try:
        left: dict[str, Any] = json_module.loads((Path(settings.data_dir) / "services.json").read_text())
    except (OSError, ValueError):
        return settings
    named = {name for name in ("database_url", "redis_url") if os.environ.get(ENV_PREFIX + name.upper())}
    urls = {name: left[name] for name in ("database_url", "redis_url") if name in left and name not in named}
    return settings.model_copy(update={name: url for name, url in urls.items() if not getattr(settings, name)})


def _local_url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0") else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _print(results: list[Result], found: int) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for result in results:
        if result.skipped:
            console.print(f"[yellow]-[/yellow] {result.check}: not looked at, {escape(result.skipped)}")
            continue
        if not result.findings:
            console.print(f"[green]✓[/green] {result.check}")
        for one in result.findings:
            colour = "red" if one.severity == "error" else "yellow"
            console.print(f"[{colour}]✗[/{colour}] {result.check}: {escape(one.reason)}")
            console.print(f"    {escape(one.remedy)}")
    console.print(f"\n{found} findings." if found else "\nNothing found.")
