"""The report as one page that needs nothing else: style and plots inside, no script, no request to anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any, Final

from loadtest.html_parts import end_of, figure, largest, note, number, table
from loadtest.losses import is_lost
from loadtest.plots import HALF
from loadtest.report_html_more import compared_section, search_section, server_section

__all__ = ["render"]

_TIMES: Final = {
    "rtt": "Round trip, request to ack",
    "challenge": "Request to challenge",
    "decision": "Answer to ack",
    "tick_gap": "Tick gap",
    "join": "Join (ramp)",
    "resume": "Resume",
}
_PARTS: Final = ("p50", "p90", "p99", "max")
_COUNTED: Final = {
    "requests_per_s": "Commands asked for / s",
    "acks_per_s": "Commands accepted / s",
    "results_per_s": "Results / s",
    "deliveries_per_s": "Deltas delivered / s",
    "mbytes_per_s": "Received, MB / s",
    "refused_share": "Refused share",
    "failed_share": "Failed share",
    "disconnects": "Connections lost",
    "cuts": "Connections we broke",
    "resumes": "Connections resumed",
    "resyncs": "Resyncs",
    "timeouts": "Commands never decided",
    "given_up": "Never got in",
    "results_missing": "Results missing",
    "results_twice": "Results twice",
    "unusable": "Unusable messages",
}
_ALWAYS: Final = frozenset(("acks_per_s", "results_per_s", "deliveries_per_s", "refused_share", "results_missing"))
_GROUPS: Final = {
    "refused": "Refused",
    "failed": "Failed",
    "completed": "Completed",
    "closed": "Connections closed by the server",
    "join_failed": "Joins that failed",
    "reconnect_failed": "Reconnects that failed",
    "errors": "Errors",
    "difficulty": "Difficulty of challenges",
}
_GENERATOR: Final = {
    "task": "Generator",
    "verdict": "Was",
    "cpu_share": "CPU",
    "proof_share": "of it proofs",
    "loop_lag_p99_ms": "Loop late p99",
    "loop_lag_max_ms": "at most",
    "machine_cpu": "Whole machine",
    "memory_mb": "Memory",
}
_SHARES: Final = frozenset(("cpu_share", "proof_share", "machine_cpu", "refused_share", "failed_share"))


def render(report: Mapping[str, Any]) -> str:
    """Return the page.  Everything that came from outside is escaped."""
    style = files("loadtest").joinpath("report.css").read_text(encoding="utf-8")
    asked = report["asked"]
    title = (
        f"{asked['scenario'].capitalize()}: {number(asked['agents'])} agents, {number(asked['spectators'])} spectators"
    )
    parts = (
        _head(report, title),
        _cards(report["figures"]),
        search_section(report.get("search")),
        compared_section(report),
        _plots(report),
        server_section(report),
        _tables(report),
        _foot(report),
    )
    body = "".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Load test, {escape(title)}</title><style>\n{style}</style></head>\n<body>{body}</body></html>\n"
    )


# -- the top --


def _head(report: Mapping[str, Any], title: str) -> str:
    if report["interrupted"]:
        badge = '<span class="badge warn">interrupted</span>'
    elif not report["limits"]:
        badge = "" if report["ok"] else '<span class="badge bad">failed</span>'
    else:
        badge = '<span class="badge good">passed</span>' if report["ok"] else '<span class="badge bad">failed</span>'
    trusted = not report["figures"]["generators_bottleneck"]
    notes = [_loss_note(report["losses"])]
    notes += [_loss_note(report["event_log_text"])] if report["event_log_text"] else []
    notes += [_bottleneck_note(report["bottleneck"])]
    notes += [note("good" if trusted else "warn", report["verdict"])]
    notes += [note("bad", f"A generator failed: {failure}") for failure in report["generator_failures"]]
    limits = [
        (f"fail if {one['fail_if']}", "nothing was measured" if one["value"] is None else f"{one['value']:g}", one)
        for one in report["limits"]
    ]
    rows = "".join(
        f'<tr><td>{escape(text)}</td><td class="n">{escape(value)}</td><td class="n">{_kept(one["broken"])}</td></tr>'
        for text, value, one in limits
    )
    table = f'<div class="table"><table><tbody>{rows}</tbody></table></div>' if rows else ""
    began = str(report["started_at"]).replace("T", " ").replace("+00:00", " UTC")
    where = f"{escape(report['base'])}, {escape(began)}, {report['figures']['measured_s']:g} s measured"
    return f'<header><h1>{escape(title)}{badge}</h1><p class="sub">{where}</p></header>{"".join(notes)}{table}'


def _loss_note(text: str) -> str:
    return note("bad" if is_lost(text) else "good", text)


def _bottleneck_note(bottleneck: Mapping[str, Any]) -> str:
    kind = {"nothing": "good", "unknown": "plain"}.get(bottleneck["where"], "warn")
    return note(kind, f"Bottleneck: {bottleneck['text']}", bottleneck["reasons"])


def _kept(broken: bool) -> str:
    return '<span class="badge bad">broken</span>' if broken else '<span class="badge good">kept</span>'


def _cards(figures: Mapping[str, Any]) -> str:
    cards = (
        (number(figures["rtt_p50_ms"]), "ms", "round trip, median"),
        (number(figures["rtt_p99_ms"]), "ms", "round trip, p99"),
        (number(figures["acks_per_s"]), "/ s", "commands accepted"),
        (number(figures["deliveries_per_s"]), "/ s", "deltas delivered"),
        (number(figures["tick_gap_p99_ms"]), "ms", "tick gap, p99"),
    )
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><b>{value} <small>{unit}</small></b><span>{words}</span></div>'
            for value, unit, words in cards
        )
        + "</div>"
    )


# -- plots --


def _plots(report: Mapping[str, Any]) -> str:
    series = report["series"]
    seconds, end = series["second"], end_of(series)
    then = (report.get("compared") or {}).get("series") or {}
    cpu = {f"generator {task}": values for task, values in series["cpu_share"].items()}
    delivered = {name: series[f"{name}_deliveries_per_s"] for name in ("spectator", "agent")}
    large = (
        figure(
            "Round trips",
            seconds,
            {"p50": series["rtt_p50_ms"], "p99": series["rtt_p99_ms"]},
            unit=" ms",
            earlier=_then(then, p50="rtt_p50_ms", p99="rtt_p99_ms"),
            until=end,
        ),
        figure(
            "Deliveries per second",
            seconds,
            {f"to {name}s": of for name, of in delivered.items()},
            stacked=True,
            until=end,
        ),
        figure(
            "Tick gaps",
            seconds,
            {"p50": series["tick_gap_p50_ms"], "p99": series["tick_gap_p99_ms"]},
            unit=" ms",
            earlier=_then(then, p99="tick_gap_p99_ms"),
            until=end,
        ),
        figure("Refusals per second", seconds, largest(series["refused_per_s"]), stacked=True, until=end),
    )
    small = (
        figure(
            "Commands per second",
            seconds,
            {"accepted": series["acks_per_s"], "ended": series["results_per_s"]},
            size=HALF,
            earlier=_then(then, accepted="acks_per_s"),
            until=end,
        ),
        figure(
            "Connected", seconds, {"agents": series["agents"], "spectators": series["spectators"]}, size=HALF, until=end
        ),
        figure(
            "Event loops late, p99", seconds, {"all generators": series["lag_p99_ms"]}, unit=" ms", size=HALF, until=end
        ),
        figure("Generators' processors", seconds, largest(cpu), size=HALF, until=end),
    )
    return (
        f'<h2>Over time, at the clients</h2><p class="phases">{_phases(series)}</p>{"".join(large)}'
        f'<div class="small">{"".join(small)}</div>'
    )


def _then(series: Mapping[str, Any], **names: str) -> dict[str, Any]:
    return {name: series[column] for name, column in names.items() if column in series}


def _phases(series: Mapping[str, Any]) -> str:
    measured = [second for second, counts in zip(series["second"], series["measured"], strict=True) if counts]
    step = f" Each point is {series['step_s']} s." if series["step_s"] > 1 else ""
    if not measured:
        return "Nothing of it was measured." + step
    end = measured[-1] + series["step_s"]
    when = f"Measured from {measured[0]} s to {end} s"
    return f"{when}: before it they join, after it what still runs comes to its end.{step}"


# -- tables --


def _tables(report: Mapping[str, Any]) -> str:
    figures = report["figures"]
    times = [
        (words, *(figures[f"{name}_{part}_ms"] for part in _PARTS))
        for name, words in _TIMES.items()
        if figures[f"{name}_p50_ms"] is not None
    ]
    counted = [
        (words, _value(name, figures[name])) for name, words in _COUNTED.items() if figures[name] or name in _ALWAYS
    ]
    groups = [
        f"<div><h2>{escape(words)}</h2>{table((), _named(report[group]))}</div>"
        for group, words in _GROUPS.items()
        if report[group]
    ]
    server = ""
    if report["server"]:
        rows = [(one["name"], one["ours"], one["servers"]) for one in report["server"]]
        server = f"<div><h2>Counted here and by the server</h2>{table(('', 'here', 'server'), rows)}</div>"
    generators = [[_value(name, one[name]) for name in _GENERATOR] for one in report["generators"]]
    return (
        f"<h2>Times in milliseconds</h2>{table(('', *_PARTS), times)}"
        f'<div class="pair"><div><h2>Counted</h2>{table((), counted)}</div>{server}{"".join(groups)}</div>'
        f"<h2>Generators</h2>{table(tuple(_GENERATOR.values()), generators)}"
    )


def _named(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [("without a reason" if name == "none" else name, count) for name, count in counts.items()]


def _value(name: str, value: Any) -> Any:
    if value is None:
        return "–"
    if name in _SHARES:
        return f"{value:.1%}"
    if name.endswith("_ms"):
        return f"{number(value)} ms"
    return f"{number(value)} MB" if name == "memory_mb" else value


def _foot(report: Mapping[str, Any]) -> str:
    asked = ", ".join(f"{name} {value}" for name, value in report["asked"].items())
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    return f"<footer>Asked for: {escape(asked)}. Run {escape(report['run_id'])}. {escape(versions)}.</footer>"
