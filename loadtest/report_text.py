"""The report as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtest.losses import is_lost

__all__ = ["print_report"]

_TIMES: Final = {
    "rtt": "round trip, request to ack",
    "challenge": "  request to challenge",
    "decision": "  answer to ack",
    "tick_gap": "tick gap",
    "join": "join",
    "resume": "resume",
}
_RATES: Final = {
    "acks_per_s": "accepted commands / s",
    "results_per_s": "results / s",
    "deliveries_per_s": "deliveries / s",
    "mbytes_per_s": "received MB / s",
}
_PARTS: Final = ("p50", "p90", "p99", "max")


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Print it."""
    figures, asked = report["figures"], report["asked"]
    title = (
        f"{asked['scenario']}: {asked['agents']} agents, {asked['spectators']} spectators, {asked['tasks']} generators"
    )
    console.print(Text(f"\n{title}, {figures['measured_s']:g} s measured", style="bold"))
    if report["interrupted"]:
        console.print(Text("Interrupted: this is what there was until then.", style="yellow"))
    console.print(_times(figures))
    console.print(_counts(report))
    _print_verdict(console, report)
    for limit in report["limits"]:
        console.print(limit_line(limit))
    if report.get("compared"):
        _print_compared(console, report["compared"])
    if report.get("search"):
        _print_search(console, report["search"])


def limit_line(limit: dict[str, Any]) -> Text:
    """Return a limit and how the run did as a line."""
    value = "nothing was measured" if limit["value"] is None else f"is {limit['value']:g}"
    word, style = ("BROKEN", "bold red") if limit["broken"] else ("kept  ", "green")
    return Text.assemble((word, style), f" fail if {limit['fail_if']}: {value}")


def _times(figures: dict[str, Any]) -> Table:
    table = Table("milliseconds", box=None, header_style="dim")
    for part in _PARTS:
        table.add_column(part, justify="right")
    for name, words in _TIMES.items():
        values = [figures[f"{name}_{part}_ms"] for part in _PARTS]
        if values[0] is not None:
            table.add_row(words, *(f"{value:,.1f}" for value in values))
    return table


def _counts(report: dict[str, Any]) -> Table:
    figures = report["figures"]
    table = Table.grid(padding=(0, 2))
    for name, words in _RATES.items():
        if figures[name] is not None:
            table.add_row(words, f"{figures[name]:,.1f}")
    if figures["cuts"]:
        table.add_row("lines cut / resumed", f"{figures['cuts']:,.0f} / {figures['resumes']:,.0f}")
    for words, group in (("refused", "refused"), ("failed", "failed"), ("closed by the server", "closed")):
        if report[group]:
            table.add_row(words, in_words(report[group]))
    for name in ("given_up", "timeouts", "resyncs", "silences", "unusable", "results_missing", "results_twice"):
        if figures[name]:
            table.add_row(Text(name.replace("_", " "), style="yellow"), f"{figures[name]:,.0f}")
    for group in ("join_failed", "reconnect_failed", "errors"):
        if report[group]:
            table.add_row(Text(group.replace("_", " "), style="yellow"), in_words(report[group]))
    if report["server"]:
        table.add_row("counted here / there", ", ".join(compared(one) for one in report["server"]))
    return table


def compared(one: dict[str, Any]) -> str:
    """Return a line for one count, ours and the server's."""
    return f"{one['name']} {one['ours']:,.0f} / {one['servers']:,.0f}"


def in_words(counts: dict[str, int]) -> str:
    """Return counts as words: ``blocked 12, depleted 3``."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _print_verdict(console: Console, report: dict[str, Any]) -> None:
    for text in (report["losses"], report["event_log_text"]):
        if text:
            console.print(Text(text, style="bold red" if is_lost(text) else "green"))
    if report["differences"]:
        console.print(Text(report["differences"], style="dim"))
    trusted = not report["figures"]["generators_bottleneck"]
    console.print(Text(report["verdict"], style="" if trusted else "yellow"))
    _print_server_side(console, report)
    for failure in report["generator_failures"]:
        console.print(Text(f"A generator failed: {failure}", style="bold red"))


def _print_server_side(console: Console, report: Mapping[str, Any]) -> None:
    side, bottleneck = report["server_side"], report["bottleneck"]
    if side["processes"]:
        busiest = ", ".join(f"{one['name']} {one['cores']:.0%}" for one in side["processes"][:8])
        console.print(Text(f"Of a processor: {busiest}."))
    elif side["why_not"]:
        console.print(Text(f"The server's own figures are missing: {side['why_not']}.", style="dim"))
    console.print(Text(f"Bottleneck: {bottleneck['text']}", style="bold"))
    for reason in bottleneck["reasons"]:
        console.print(Text(f"  {reason}"))


def _print_compared(console: Console, compared: Mapping[str, Any]) -> None:
    table = Table(f"beside run {compared['run_id']}", box=None, header_style="dim")
    for head in ("then", "now", "change", ""):
        table.add_column(head, justify="right")
    styles = {"better": "green", "worse": "red"}
    for row in compared["figures"]:
        change = "" if row["change"] is None else f"{row['change']:+.0%}"
        style = styles.get(row["word"], "")
        table.add_row(row["name"], _short(row["then"]), _short(row["now"]), change, row["word"], style=style)
    console.print(table)
    for name, (then, now) in compared["asked_otherwise"].items():
        console.print(Text(f"  asked for {name} {then} then, {now} now", style="yellow"))


def _print_search(console: Console, search: Mapping[str, Any]) -> None:
    table = Table("run", box=None, header_style="dim")
    for head in ("agents", *(search["runs"][0]["figures"] if search["runs"] else ()), "condition"):
        table.add_column(head, justify="right")
    for place, run in enumerate(search["runs"], 1):
        held = "not decided" if run["held"] is None else "held" if run["held"] else "failed"
        style = "red" if held == "failed" else ""
        figures = (_short(value) for value in run["figures"].values())
        table.add_row(str(place), f"{run['agents']:,}", *figures, held, style=style)
    console.print(table)
    console.print(Text(search["reason"], style="bold" if search["agents"] else "bold red"))


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
