"""Sections of the report's page that not every run has: the server's side, an earlier run, the search for a limit."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from loadtest.html_parts import end_of, figure, largest, note, number, table
from loadtest.plots import HALF

__all__ = ["compared_section", "search_section", "server_section"]

_WORDS: Final = {"better": "good", "worse": "bad"}


# -- the server's side --


def server_section(report: Mapping[str, Any]) -> str:
    """Return the server's figures over the same time as the clients'."""
    side, end = report["server_side"], end_of(report["series"])
    head = "<h2>Over time, at the server</h2>"
    if not side["second"]:
        return head + note("plain", f"Not shown: {side['why_not']}.")
    told = [f"Ends early: {side['why_not']}."] if side["why_not"] else []
    told += [f"Not known of {' and '.join(side['missing'])}."] if side["missing"] else []
    plots = (
        figure("Processors used", side["second"], side["cores"], stacked=True, until=end),
        figure(
            "Ticks and commits",
            side["second"],
            {
                "tick p99": side["tick_p99_ms"],
                "tick mean": side["tick_mean_ms"],
                "commit p99": side["commit_p99_ms"],
                "commit mean": side["commit_mean_ms"],
            },
            unit=" ms",
            until=end,
        ),
        figure("Waiting", side["second"], largest(side["queues"]), until=end),
    )
    rows = [(one["name"], _share(one["cores"]), _share(one["waited"])) for one in side["processes"]]
    used = table(("Measured", "of a processor", "had to wait for one"), rows) if rows else ""
    return f'{head}<p class="phases">{escape(" ".join(told))}</p>{"".join(plots)}{used}'


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


# -- an earlier run --


def compared_section(report: Mapping[str, Any]) -> str:
    """Return the figures beside an earlier run's; empty without one."""
    compared = report.get("compared")
    if compared is None:
        return ""
    began = compared["started_at"].replace("T", " ").replace("+00:00", " UTC")
    otherwise = [f"{name}: {then} then, {now} now" for name, (then, now) in compared["asked_otherwise"].items()]
    differs = note("warn", "It was asked for something else:", otherwise) if otherwise else ""
    figures = [
        (row["name"], _figure(row, "then"), _figure(row, "now"), _change(row["change"]), row["word"])
        for row in compared["figures"]
    ]
    classes = [f"is-{_WORDS[row['word']]}" if row["word"] in _WORDS else "" for row in compared["figures"]]
    cores = [(row["name"], _share(row["then"]), _share(row["now"])) for row in compared["cores"]]
    used = table(("Of a processor", "then", "now"), cores) if cores else ""
    return (
        f"<h2>Beside an earlier run</h2>"
        f'<p class="phases">Run {escape(compared["run_id"])}, {escape(began)}; in the plots below as broken lines.</p>'
        f"{differs}{table(('', 'then', 'now', 'change', ''), figures, classes)}{used}"
    )


def _figure(row: Mapping[str, Any], which: str) -> Any:
    return _share(row[which]) if "_share" in row["name"] else row[which]


def _change(part: float | None) -> str:
    return "–" if part is None else f"{part:+.0%}"


# -- the search for a limit --


def search_section(search: Mapping[str, Any] | None) -> str:
    """Return the runs of a search; empty without one."""
    if search is None:
        return ""
    names = list(search["runs"][0]["figures"]) if search["runs"] else []
    runs = sorted(search["runs"], key=lambda run: run["agents"])
    rows = [
        (place, run["agents"], *(run["figures"][name] for name in names), run["bottleneck"], _held(run["held"]))
        for place, run in enumerate(search["runs"], 1)
    ]
    classes = ["" if run["held"] is None else "is-good" if run["held"] else "is-bad" for run in search["runs"]]
    plots = [
        figure(
            name,
            [run["agents"] for run in runs],
            {"by agents": [run["figures"][name] for run in runs]},
            size=HALF,
            over_time=False,
        )
        for name in names
    ]
    found = f"{number(search['agents'])} agents carried" if search["agents"] else "No number found"
    return (
        f"<h2>{escape(found)}: {escape(search['condition'])}</h2>"
        f"{note('warn' if search['stopped'] or not search['agents'] else 'good', search['reason'])}"
        f"{table(('Run', 'agents', *names, 'bottleneck', 'condition'), rows, classes)}"
        f'<div class="small">{"".join(plots)}</div>'
        f'<p class="phases">What follows is of a run with the number that was found.</p>'
    )


def _held(held: bool | None) -> str:
    return "not decided" if held is None else "held" if held else "failed"
