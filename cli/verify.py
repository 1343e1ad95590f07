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
from cli.when import When, parse_when
from config.errors import OperatorError
from operations.printable import printable
from recordings.past import NoSuchMoment, Past
from recordings.places import SegmentPlace, place_of
from recordings.verify import Proof, Wanted
from recordings.verify import verify as run_again

#: Exit code where something was made by another version of the rules or of the format, and nothing is wrong.
EXIT_OTHER_VERSION: Final = 4
LINE_EVERY_S: Final = 30.0

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.command()
def verify(
    where: Annotated[
        str, typer.Argument(metavar="DIR", help="Directory of recordings, or a URL as CHUNKCRAWL_RECORDINGS_URL.")
    ],
    chunk: Annotated[str | None, typer.Option(metavar="ID", help="Compare this chunk alone.")] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="TICK|TIME", help="From then on: a tick, `2h` ago, or an ISO time (UTC)."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="TICK|TIME", help="Up to then, said the same way.")
    ] = None,
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

    A time is that of the commit, by the server's clock. Recordings that begin after --from, or end before --to, are
    looked at as far as they go. Files of which nothing is asked for are not run, and what came from shard to shard is
    compared only where all is.

    Exit codes: 0 all is as recorded, 1 something is not or can't be read, 2 wrong usage or nothing recorded there, 4
    nothing is wrong, but some of it was made by another version of the rules and was not run.

    Examples: chunkcrawl verify .data/recordings; chunkcrawl verify --from 2h .data/recordings;
    chunkcrawl verify --from 2026-03-01T12:00 --to 2026-03-01T12:30 s3://bucket/world;
    chunkcrawl verify --chunk chunk-7 --from 4000 --to 9000 /backup/rec;
    chunkcrawl verify --published digests.jsonl s3://bucket/world
    """
    console = Console(stderr=True)
    begin = None if first is None else parse_when(first, "--from")
    end = None if last is None else parse_when(last, "--to")
    try:
        place = place_of(where)
        ticks = _ticks(place, begin, end)
        wanted = Wanted(chunk, *ticks, read_published(published) if published else {})
        began = time.monotonic()
        with _progress(console, shown=not as_json) as progress:
            verdict = run_again(place, wanted, progress)
            if verdict.segments and not (verdict.entries or verdict.findings or verdict.not_run):
                raise NoSuchMoment(f"nothing is recorded there: the recordings go {Past(place).in_words}")
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except OSError as error:
        typer.echo(f"error: {where} can't be read: {error.strerror or error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    if not verdict.segments:
        typer.echo(f"error: no recordings in {where}: give the directory with shard-*.ccrec", err=True)
        raise typer.Exit(EXIT_USAGE)
    _say(verdict, ticks, time.monotonic() - began, as_json=as_json)
    if not verdict.same:
        raise typer.Exit(EXIT_FAILED)
    if verdict.not_run:
        raise typer.Exit(EXIT_OTHER_VERSION)


def _ticks(place: SegmentPlace, begin: When | None, end: When | None) -> tuple[int | None, int | None]:
    """Return the ticks from one moment to another; None: from the beginning, or to the end.

    Raises:
        typer.BadParameter: the first is after the last.
        NoSuchMoment: the recordings don't reach a time that is named.
        OSError: the place can't be read.
    """
    first, last = _value(begin, is_time=False), _value(end, is_time=False)
    first_ms, last_ms = _value(begin, is_time=True), _value(end, is_time=True)
    if first_ms is not None or last_ms is not None:
        from_tick, to_tick = Past(place).ticks_within(first_ms, last_ms)
        first, last = first if from_tick is None else from_tick, last if to_tick is None else to_tick
    if first is not None and last is not None and first > last:
        raise typer.BadParameter(f"is tick {first}, after tick {last} of --to", param_hint="--from")
    return first, last


def _value(when: When | None, *, is_time: bool) -> int | None:
    return when.value if when is not None and when.is_time == is_time else None


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
    """Show how much is done: by a bar where somebody looks, elsewhere by a line now and then."""
    if not shown:
        yield lambda done, of: None
        return
    if not console.is_terminal:
        yield Lines().told
        return
    columns = (TextColumn("verifying"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verify", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=max(of, 1))


class Lines:
    """Says how much is done, every ``LINE_EVERY_S``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + LINE_EVERY_S

    def told(self, done: int, of: int) -> None:
        """Take how much is done."""
        if self._clock() >= self._at:
            self._at = self._clock() + LINE_EVERY_S
            typer.echo(f"verifying: {done / max(of, 1):.0%}", err=True)


def _say(verdict: Proof, ticks: tuple[int | None, int | None], took_s: float, *, as_json: bool) -> None:
    first, last = ticks
    figures: dict[str, Any] = {
        name: getattr(verdict, name)
        for name in ("segments", "entries", "inputs", "ticks", "digests", "frames", "crossings", "published", "not_run")
    }
    if as_json:
        findings = [{name: getattr(one, name) for name in one.__slots__} for one in verdict.findings]
        range_ = {"from_tick": first, "to_tick": last}
        typer.echo(
            orjson.dumps({"same": verdict.same, "findings": findings, "notes": verdict.notes, **range_, **figures})
        )
        return
    if ticks != (None, None):
        begins = "the beginning" if first is None else f"tick {first}"
        typer.echo(f"from {begins} to {'the end' if last is None else f'tick {last}'}", err=True)
    for note in verdict.notes:
        typer.echo(printable(note), err=True)  # files of somebody else's may say anything
    for finding in verdict.findings:
        typer.echo(printable(finding.line))
    typer.echo(
        f"{figures['inputs']} inputs in {figures['ticks']} ticks run again in {took_s:.1f} s; {figures['digests']} "
        f"digests, {figures['frames']} key frames and {figures['published']} published digests compared."
    )
    typer.echo("All is as recorded." if verdict.same else f"{len(verdict.findings)} findings.")
