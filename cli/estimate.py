"""``chunkcrawl estimate``: what a world of a given size takes, and which part is full first."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from chunkcrawl.commands.common import EXIT_FAILED
from operations.sizing.coefficients import load_coefficients
from operations.sizing.limits import AGENTS_MOST, SINGLE, PartLimit, full, limits
from operations.sizing.model import Demand, Estimate, estimate

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)

COMMANDS_MOST: Final = 100.0
PER_CHUNK_MOST: Final = 2_500
PLAIN_WIDTH: Final = 120


@app.command("estimate")
def estimate_command(
    agents: Annotated[int, typer.Option(min=1, max=AGENTS_MOST, help="Agents that play.")],
    spectators: Annotated[int, typer.Option(min=0, max=AGENTS_MOST, help="Spectators of chunks with agents.")] = 0,
    commands: Annotated[
        float | None,
        typer.Option(min=0, max=COMMANDS_MOST, help="Commands of an agent a second.", show_default="0.5"),
    ] = None,
    per_chunk: Annotated[
        int | None,
        typer.Option(min=1, max=PER_CHUNK_MOST, help="Agents in a chunk that has any.", show_default="as measured"),
    ] = None,
    partitioned: Annotated[
        bool, typer.Option("--partitioned", help="With journals on a Valkey Cluster: designed, not built.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate processes, cores, memory and traffic of a world, and which part is full first.

    Put together from what single parts were measured to cost in this version (docs/scaling.md); needs no server. The
    figures are of the machine that was measured: another's cores may be twice as fast.

    Exit codes: 0 it can be served, 1 a part would be full, 2 wrong usage.

    Examples: chunkcrawl estimate --agents 2000 --spectators 5000; chunkcrawl estimate --agents 100000 --partitioned
    """
    known = load_coefficients()
    demand = Demand(agents, spectators, commands, per_chunk, partitioned)
    found, most = estimate(demand, known), limits(demand, known)
    too_much = full(found)
    if json:
        shown: dict[str, Any] = found.to_json() | {"full": too_much, "limits": {one.part: one.agents for one in most}}
        typer.echo(orjson.dumps(shown | {"measured": known.measured}).decode())
    else:
        _print(found, most, too_much, known.measured)
    raise typer.Exit(EXIT_FAILED if too_much else 0)


def _print(found: Estimate, most: list[PartLimit], too_much: list[str], measured: str) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("part")
    for column in ("processes", "cores", "memory MB", "full"):
        table.add_column(column, justify="right")
    for name, part in found.parts.items():
        style = "red" if name in too_much else None
        shown = (f"{part.processes:,}", f"{part.cores:,.2f}", f"{part.memory_mb:,.0f}", f"{part.fullness:.0%}")
        table.add_row(name, *shown, style=style)
    table.add_row("all", "", f"{found.cores:,.1f}", f"{found.memory_mb:,.0f}", "")
    console.print(table)
    rates = found.rates
    console.print(
        f"{rates.commands:,.0f} commands and {rates.agent_messages + rates.spectator_messages:,.0f} deltas a second; "
        f"{found.clients_bytes / 1e6:,.1f} MB/s to clients, {found.valkey_out_bytes / 1e6:,.1f} MB/s from Valkey to "
        f"gateways, {found.valkey_in_bytes / 1e6:,.1f} MB/s from shards to Valkey.",
        highlight=False,
    )
    for limit in most:
        console.print(f"{SINGLE[limit.part]} is full at {limit.agents:,} agents.", highlight=False)
    console.print(f"Measured: {measured}.", style="dim", highlight=False)
