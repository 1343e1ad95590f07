"""``chunkcrawl verify``: proof that a recording is what happened, on any machine, without server or database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from chunkcrawl.commands.common import EXIT_FAILED, EXIT_USAGE, JsonOption
from config.errors import OperatorError
from recordings.places import place_of
from recordings.verify import Proof, Wanted
from recordings.verify import verify as run_again

#: Exit code where something was made by another version of the rules or of the format, and nothing is wrong.
EXIT_OTHER_VERSION: Final = 4

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.command()
def verify(
    where: Annotated[
        str, typer.Argument(metavar="DIR", help="Directory of recordings, or a URL as CHUNKCRAWL_RECORDINGS_URL.")
    ],
    chunk: Annotated[str | None, typer.Option(metavar="ID", help="Compare this chunk alone.")] = None,
    first: Annotated[int | None, typer.Option("--from", metavar="TICK", min=0, help="From this tick on.")] = None,
    last: Annotated[int | None, typer.Option("--to", metavar="TICK", min=0, help="Up to this tick.")] = None,
    published: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="What watchers were told: lines of `chunk_digest` events."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run recordings again from their inputs and compare checksums, hash chain, digests and key frames.

    What was changed, dropped, repeated or swapped is named: shard, chunk, tick, field. Whoever changes a recording and
    makes all of its hashes anew is found by what watchers were told: keep `chunk_digest` events, or what
    `GET /v1/chunks/ID/digests` gives, one JSON object a line, and name them with --published.

    Exit codes: 0 all is as recorded, 1 something is not, 2 wrong usage, 4 nothing is wrong, but some of it was made by
    another version of the rules and was not run.

    Examples: chunkcrawl verify .data/recordings; chunkcrawl verify --chunk chunk-7 --from 4000 --to 9000 /backup/rec;
    chunkcrawl verify --published digests.jsonl s3://bucket/world
    """
    console = Console(stderr=True)
    try:
        place = place_of(where)
        wanted = Wanted(chunk, first, last, read_published(published) if published else {})
        began = time.monotonic()
        with _progress(console, shown=not as_json) as progress:
            verdict = run_again(place, wanted, progress)
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        typer.echo(f"error: {where} can't be read: {error.strerror or error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    if not verdict.segments:
        typer.echo(f"error: no recordings in {where}: give the directory with shard-*.ccrec", err=True)
        raise typer.Exit(EXIT_USAGE)
    _say(verdict, time.monotonic() - began, as_json=as_json)
    if not verdict.same:
        raise typer.Exit(EXIT_FAILED)
    if verdict.not_run:
        raise typer.Exit(EXIT_OTHER_VERSION)


def read_published(path: Path) -> dict[tuple[str, int], str]:
    """Return the digests in a file by chunk and tick: events, or answers of the endpoint, one a line.

    Raises:
        NotPublished: a line is neither.
    """
    found: dict[tuple[str, int], str] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            data = orjson.loads(line)
            told = data.get("digests", [data])
            found |= {(str(data["chunk_id"]), int(one["tick"])): str(one["digest"]) for one in told}
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
            raise NotPublished(
                f"{path}, line {number}: not a chunk_digest event (JSON with chunk_id, tick and digest)"
            ) from None
    return found


class NotPublished(OperatorError):
    """A file does not hold what watchers are told."""

    reason = "not_published"


@contextmanager
def _progress(console: Console, *, shown: bool) -> Iterator[Callable[[int, int], object]]:
    """Show how much is done, where somebody looks."""
    if not shown or not console.is_terminal:
        yield lambda done, of: None
        return
    columns = (TextColumn("verifying"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verify", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=max(of, 1))


def _say(verdict: Proof, took_s: float, *, as_json: bool) -> None:
    figures: dict[str, Any] = {
        name: getattr(verdict, name)
        for name in ("segments", "entries", "inputs", "ticks", "digests", "frames", "crossings", "published", "not_run")
    }
    if as_json:
        findings = [{name: getattr(one, name) for name in one.__slots__} for one in verdict.findings]
        typer.echo(orjson.dumps({"same": verdict.same, "findings": findings, "notes": verdict.notes, **figures}))
        return
    for note in verdict.notes:
        typer.echo(note, err=True)
    for finding in verdict.findings:
        typer.echo(finding.line)
    typer.echo(
        f"{figures['inputs']} inputs in {figures['ticks']} ticks run again in {took_s:.1f} s; {figures['digests']} "
        f"digests, {figures['frames']} key frames and {figures['published']} published digests compared."
    )
    typer.echo("All is as recorded." if verdict.same else f"{len(verdict.findings)} findings.")
