"""``chunkcrawl fork``: a private world from a moment of a recording, without server or database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from chunkcrawl.commands.common import EXIT_FAILED, EXIT_USAGE
from cli.when import parse_when
from config.errors import OperatorError

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.command()
def fork(
    new_dir: Annotated[Path, typer.Argument(metavar="NEW_DIR", help="The new world's data directory: new or empty.")],
    at: Annotated[str, typer.Option(metavar="TICK|TIME", help="A tick, or a time: 2h (ago), 2026-03-01T12:00 (UTC).")],
    source: Annotated[
        str, typer.Option("--from", metavar="DIR|URL", help="Directory of recordings, or a URL of fsspec's.")
    ],
    chunks: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Take these chunks and the hall alone; may be repeated, or IDs with commas."),
    ] = None,
) -> None:
    """Make a private world from the past: same terrain, same agents standing there with what they carry.

    `chunkcrawl up --data NEW_DIR` starts it; it goes on from that tick, with accounts of its own. An agent belongs to
    the first account that plays it, as in any world; until then it stands where it stood. Agents that were not in the
    world at that moment begin anew. The original is only read.

    What another version of the rules made is refused, and so is a directory with something in it. Nothing half made is
    left behind.

    Exit codes: 0 made, 1 the recordings can't be read, 2 refused or wrong usage.

    Examples: chunkcrawl fork --at 123456 --from .data/recordings /tmp/then;
    chunkcrawl fork --at 2h --chunks chunk-0,chunk-7 --from s3://bucket/world /tmp/then;
    chunkcrawl up --data /tmp/then --port 8001 --no-demo
    """
    from operations.fork import make_fork, part_of, refuse_unless_new, settings_for
    from recordings.past import Past
    from recordings.places import place_of

    console = Console(stderr=True)
    when = parse_when(at, "--at")
    wanted = [one for words in chunks or [] for one in words.split(",") if one]
    try:
        refuse_unless_new(new_dir)
        with _progress(console) as progress:
            past = Past(place_of(source), progress)
            moment = past.moment(past.tick_at(when.value) if when.is_time else when.value)
            if wanted:
                moment = part_of(moment, wanted)
            progress("writing", 1, 1)
            made = make_fork(moment, new_dir)
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        where = error.filename or source
        typer.echo(f"error: {where} can't be used: {error.strerror or error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    typer.echo(f"{new_dir}: {made}.")
    start = " ".join([*settings_for(moment.rules), f"chunkcrawl up --data {new_dir}"])
    typer.echo(f"Start it with: {start}")


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], object]]:
    """Show what is being done, where somebody looks."""
    if not console.is_terminal:
        yield lambda what, done, of: None
        return
    with Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda what, done, of: bar.update(task, description=what, completed=done, total=max(of, 1))
