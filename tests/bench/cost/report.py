"""The figures of one checkout as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.cost.processes import ROLES
from tests.bench.cost.runs import Run, Series

__all__ = ["print_series"]

MS = 1e3


def print_series(console: Console, series: Series, floor: Sequence[dict[str, float]] | None) -> None:
    """Print all runs, what a command and a message cost, and Valkey's commands."""
    console.print(f"\n[bold]{series.tree}[/bold]", highlight=False)
    console.print(_cores(series.runs, floor))
    console.print(_served(series.runs))
    console.print(_costs(series))
    console.print(_valkey(series.runs))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _cores(runs: Sequence[Run], floor: Sequence[dict[str, float]] | None) -> Table:
    extra = ("floor", "all / floor") if floor else ()
    table = _table("Cores", "agents", "think s", *ROLES, "all", "idle", "ms a command", *extra)
    for number, run in enumerate(runs):
        idle = sum(run.idle.values())
        row: list[Any] = [run.joined, f"{run.think_s:g}", *(f"{run.cores[role]:.3f}" for role in ROLES)]
        row += [f"{run.whole:.3f}", f"{idle:.3f}", _ratio(MS * (run.whole - idle), run.commands_per_s, ".2f")]
        if floor:
            row += [f"{floor[number]['cores']:.3f}", _ratio(run.whole, floor[number]["cores"], ".1f")]
        table.add_row(*map(str, row))
    return table


def _served(runs: Sequence[Run]) -> Table:
    columns = ("commands/s", "deltas/s", "bytes each", "rtt p50 ms", "p99 ms", "joins/s", "disconnects")
    table = _table("Served", "agents", "think s", *columns)
    for run in runs:
        row = [run.joined, f"{run.think_s:g}", run.commands_per_s, run.messages_per_s, f"{run.bytes_per_message:.0f}"]
        row += [run.rtt_p50_ms, run.rtt_p99_ms, run.joins_per_s, run.client.get("disconnects", "")]
        table.add_row(*map(str, row))
    return table


def _costs(series: Series) -> Table:
    table = _table("Least squares over all runs", "", "us a command", "us a delta", "idle cores", "worst error")
    for role, cost in series.costs().items():
        if cost is None:
            table.add_row(role, "too few runs, or too alike")
        else:
            found = (f"{cost.command_us:.0f}", f"{cost.message_us:.1f}", f"{cost.idle_cores:.3f}")
            table.add_row(role, *found, f"{cost.worst_error:.1%}")
    return table


def _valkey(runs: Sequence[Run]) -> Table:
    names = list(dict.fromkeys(name for run in runs for name in run.valkey))
    heads = [f"{run.joined}, {run.think_s:g} s" for run in runs]
    table = _table("Valkey: calls for each accepted command x us of a call", "", *heads)
    for name in names:
        cells = [run.valkey.get(name) for run in runs]
        table.add_row(name, *("" if cell is None else f"{cell[0]:.2f} x {cell[1]:.0f}" for cell in cells))
    return table


def _ratio(part: float, whole: float, shape: str) -> str:
    return format(part / whole, shape) if whole else "-"
