"""``chunkcrawl show-chunk`` and ``chunkcrawl replay``: the pure world from the command line, without any server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from chunkcrawl.commands.common import EXIT_FAILED, EXIT_USAGE
from cluster.configs import rules_of
from config.settings import SettingsError, load_settings
from world.ids import DIRECTIONS
from world.recording import NotARecording, verify
from world.terrain import Terrain, make_terrain

NODE: Final = "$"

app = typer.Typer(help="The world without a server.", rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.command("show-chunk")
def show_chunk(
    number: Annotated[int, typer.Argument(min=0, help="The chunk's number: 7 for chunk-7.")] = 1,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The world's seed.", show_default="CHUNKCRAWL_WORLD_SEED")
    ] = None,
    entry: Annotated[str | None, typer.Option(help="Side it was first entered by: N, E, S or W.")] = None,
) -> None:
    """Draw a chunk's terrain, north at the top: `#` wall, `.` floor, `$` gold.

    Gold is as the settings have it; a world keeps what it was made with, which `chunkcrawl status` shows.

    Examples: chunkcrawl show-chunk --seed 7; chunkcrawl show-chunk 12 --seed 42 --entry W
    """
    sides = {str(side): side for side in DIRECTIONS}
    if entry is not None and entry.upper() not in sides:
        raise typer.BadParameter("must be N, E, S or W", param_hint="--entry")
    try:
        settings = load_settings(world_seed=seed)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    side = sides[entry.upper()] if entry is not None else None
    typer.echo(draw(make_terrain(settings.world_seed, number, side, rules_of(settings))))


def draw(terrain: Terrain) -> str:
    """Return the terrain as 50 lines of 50 characters, the first one y = 49, then one line about exits and nodes."""
    rows = [list(row) for row in terrain.tiles]
    for node in terrain.nodes:
        rows[node.y][node.x] = NODE
    drawn = ["".join(row) for row in reversed(rows)]
    return "\n".join([*drawn, f"exits {' '.join(terrain.exits)}, {len(terrain.nodes)} gold nodes"])


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A recording, lines of JSON.")],
    check: Annotated[
        bool, typer.Option("--verify", help="Compare each output with the recorded one; exit code 1 if one differs.")
    ] = False,
) -> None:
    """Run a recording of a shard again and print the digests of its outputs and of its last state.

    Example: chunkcrawl replay shard-0.jsonl --verify
    """
    try:
        with file.open(encoding="utf-8") as lines:
            verdict = verify(lines)
    except (NotARecording, UnicodeDecodeError) as error:
        typer.echo(f"error: {file} is not a recording: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    typer.echo(f"{verdict.digest}  {verdict.takes} outputs")
    typer.echo(f"{verdict.state}  the state in the end")
    if not verdict.complete:
        typer.echo("The recording has no closing line: the process that wrote it was killed.", err=True)
    if check and not verdict.same:
        typer.echo(f"Differs from the recording, first at line {verdict.differs_at_line}.", err=True)
        raise typer.Exit(EXIT_FAILED)
    if check:
        typer.echo("The same as recorded.")
